"""What a patch is: a change to one module, why it is needed, and what has become of it."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from types import ModuleType

from mgimm_patches._hooks import before_import, when_imported

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class PatchStatus:
    """One line of ``mgimm doctor``.

    Attributes:
        name: The patch, unique.
        target: The module that it changes.
        reason: Which change of a library, or which decision of LLaVA, made it necessary.
        state: ``pending`` (the module is not imported), ``applied``, ``not needed`` or ``failed: why``.
        obsolete_when: How to tell that the patch can go.
    """

    name: str
    target: str
    reason: str
    state: str
    obsolete_when: str


@dataclass(slots=True)
class Patch:
    """A change to one upstream module, made when that module is imported.

    Attributes:
        change: Receives the module; returns False where it found nothing to change.
        early: Call ``change`` before the module's body runs, with the empty module; it is for what the body imports.
    """

    name: str
    target: str
    reason: str
    obsolete_when: str
    change: Callable[[ModuleType], bool]
    early: bool = False
    state: str = field(default="pending", init=False)
    _registered: bool = field(default=False, init=False)

    def apply(self) -> None:
        """Make the change now or when the target is imported. Any number of times is harmless."""
        if not self._registered:
            self._registered = True
            if not self.early:
                when_imported(self.target, self._run)
            elif self.target in sys.modules:
                self.state = "not needed"  # it is too late, and does no harm
            else:
                before_import(self.target, self._run)

    def status(self) -> PatchStatus:
        """What has become of the patch so far."""
        return PatchStatus(self.name, self.target, self.reason, self.state, self.obsolete_when)

    def _run(self, module: ModuleType) -> None:
        try:
            self.state = "applied" if self.change(module) else "not needed"
        except (AttributeError, ImportError, LookupError, TypeError, ValueError, OSError) as error:
            # An upstream that has changed shape must stay importable: what still works is not taken away.
            self.state = f"failed: {error}"
            logger.warning("patch %s of %s failed: %s", self.name, self.target, error)
