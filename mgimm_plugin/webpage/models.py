"""The models of the page: loaded when they are first needed, and kept."""

from __future__ import annotations

import logging
import threading
import time
import traceback
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from weakref import WeakValueDictionary

from mgimm_plugin.commands.loading import load_predictor
from mgimm_plugin.errors import MgimmError, SettingError
from mgimm_plugin.resources import bundled_model
from mgimm_plugin.webpage.session import Limits

if TYPE_CHECKING:
    from mgimm_plugin.predictor import Predictor

logger = logging.getLogger(__name__)

_KEPT = 2
"""Models in memory at a time: as many as stand side by side, where they fit."""


@dataclass(frozen=True, slots=True)
class Options:
    """What a visitor has set.

    Attributes:
        model: One of the names that ``ModelShelf`` knows.
        precision: Number format of the weights; ``auto`` is the device's own.
        template: Conversation template; ``auto`` is the model's own.
        temperature: Above 0 samples.
        beams: 1 is greedy; with more there is neither streaming nor a confidence.
        length: Longest answer, in tokens.
    """

    model: str
    precision: str = "auto"
    template: str = "auto"
    temperature: float = 0.0
    beams: int = 1
    length: int = 200

    @property
    def sampling(self) -> dict[str, Any]:
        """What streamed answers take."""
        return {"max_new_tokens": self.length, "temperature": self.temperature}


class ModelShelf:
    """Models by name. Only those named when the page was started can be asked for: a request opens no path.

    Args:
        names: Folders or Hub ids; the bundled model where there are none.
        base: Base model of adapter and LoRA checkpoints.
        device: Such as ``cpu`` or ``cuda``.
        max_pixels: Larger images are refused, and those that would be padded or resized to more.
    """

    def __init__(
        self,
        names: Sequence[str] = (),
        *,
        base: str | None = None,
        device: str | None = None,
        max_pixels: int = Limits().pixels,
    ) -> None:
        self._folders = {_short(name): name for name in names or [str(bundled_model())]}
        if len(self._folders) < len(names):
            raise SettingError("two of the models have the same last part of their names; rename a folder")
        self._base, self._device, self._max_pixels = base, device, max_pixels
        self._lock = threading.Lock()
        self._loaded: dict[tuple[str, str], Predictor] = {}
        self._alive: WeakValueDictionary[tuple[str, str], Predictor] = WeakValueDictionary()
        """These, and those that left while somebody was being answered: a second copy would not fit beside them."""

    @property
    def names(self) -> list[str]:
        """The short names, the first is the default."""
        return list(self._folders)

    def loading(self, options: Options) -> Iterator[float]:
        """Load a model that is not at hand, and say every second how many seconds that has taken.

        Who stops listening does not stop the loading: the next one who asks has less to wait.

        Raises:
            MgimmError: As ``get``.
        """
        failures: list[Exception] = []

        def load() -> None:
            try:
                self.get(options)
            except Exception as error:  # whatever it is, it belongs to the visitor who waits
                traceback.clear_frames(error.__traceback__)  # they hold weights, where some were loaded
                failures.append(error)

        if _key(options) in self._loaded:
            return
        thread, begun = threading.Thread(target=load, daemon=True, name="model loading"), time.monotonic()
        thread.start()
        while thread.is_alive():
            yield time.monotonic() - begun
            thread.join(1)
        if failures:
            raise failures.pop()

    def get(self, options: Options) -> Predictor:
        """Return a model, loaded if need be.

        Raises:
            MgimmError: There is no model of that name, or it cannot be loaded.
        """
        if options.model not in self._folders:
            raise MgimmError(f"there is no model {options.model!r}; there are {', '.join(self._folders)}")
        key = _key(options)
        with self._lock:
            predictor = self._loaded.pop(key, None) or self._alive.get(key)
            if predictor is None:
                predictor = self._load(options)
            self._loaded[key] = self._alive[key] = predictor  # last in line to leave
        return predictor if options.template == "auto" else predictor.with_template(options.template)

    def warm_up(self) -> None:
        """Load the first model in the background; what goes wrong is told here, and to whoever asks it."""

        def load() -> None:
            try:
                self.get(Options(self.names[0]))
            except Exception as error:  # a thread's traceback would bury it; who asks gets it into the log
                what = str(error) if isinstance(error, MgimmError) else f"{type(error).__name__}: {error}"
                logger.error("the page is there, but its first model is not: %s", " ".join(what.split()))

        threading.Thread(target=load, daemon=True, name="model loading").start()

    def _load(self, options: Options) -> Predictor:
        """Load a model: beside those that are at hand, or where it does not fit there, in their place."""
        from mgimm_plugin.model.devices import free_memory

        while len(self._loaded) >= _KEPT:  # first, because one more may not fit beside them
            self._loaded.pop(next(iter(self._loaded)))
            free_memory()
        predictor = self._load_where_it_fits(options)
        if predictor is None and self._loaded:
            self._loaded.clear()
            free_memory()
            predictor = self._load_where_it_fits(options)
        if predictor is None:
            raise MgimmError(
                f"the GPU's memory is too small for {options.model} now: take a smaller model or precision"
            )
        return predictor

    def _load_where_it_fits(self, options: Options) -> Predictor | None:
        """Load a model; None, with nothing left of it, where the GPU's memory is too small."""
        import torch

        from mgimm_plugin.model.devices import free_memory

        dtype = None if options.precision == "auto" else options.precision
        name = self._folders[options.model]
        try:
            return load_predictor(name, self._base, device=self._device, dtype=dtype, max_pixels=self._max_pixels)[0]
        except torch.OutOfMemoryError as error:
            logger.warning("%s does not fit the GPU's memory now: %s", options.model, " ".join(str(error).split()))
        free_memory()  # here, where the error is gone whose frames had the weights
        return None


def _key(options: Options) -> tuple[str, str]:
    return options.model, options.precision


def _short(name: str) -> str:
    return Path(name).name or name
