"""The model worker answers, also without a controller, and takes regions.

Changes: ``__init__``, ``send_heart_beat``, ``get_status``, ``generate_stream`` and ``generate_stream_gate`` of
``llava.serve.model_worker.ModelWorker``; a body that is no JSON is told as every wrong request is.

Why ``worker_generate_stream`` never answered (measured: nothing within 60 s): the endpoint is a coroutine that calls
``send_heart_beat()``, also under ``--no-register``, and that function retries every 5 s, for ever, while no controller
listens. It blocks the event loop, so the worker answers nothing at all from then on. Three more reasons for silence: an
exception in the thread that generates was lost, and showed as "high traffic" after the streamer's 15 s; images were
dropped unless the model's name contains ``llava``, with the image's index left in the ids; pixels were float16 on CPU.
Here a heart beat is sent from a thread of its own, one at a time, and never under ``--no-register``.
No longer needed when: a worker started with ``--no-register`` answers ``worker_generate_stream``. ``regions`` needs it
all the same.
"""

from __future__ import annotations

import inspect
import json
import threading
from collections.abc import Iterator
from types import ModuleType
from typing import Any

from mgimm_patches._patch import Patch


def _change_worker(module: ModuleType) -> bool:
    worker_class = module.ModelWorker
    create, beat, get_status = worker_class.__init__, worker_class.send_heart_beat, worker_class.get_status

    def __init__(self: Any, *args: Any, **kwargs: Any) -> None:
        given = inspect.signature(create).bind(self, *args, **kwargs).arguments
        self.registers = not given["no_register"]
        self.heart_beat_lock = threading.Lock()
        create(self, *args, **kwargs)
        self.device = self.model.device
        self.is_multimodal = self.image_processor is not None

    def send_heart_beat(self: Any) -> None:
        """Tell the controller, without waiting for it; nothing to do while an earlier beat is still under way."""
        if self.registers and self.heart_beat_lock.acquire(blocking=False):
            threading.Thread(target=_beat_once, args=(self,), daemon=True).start()

    def _beat_once(self: Any) -> None:
        try:
            beat(self)
        finally:
            self.heart_beat_lock.release()

    def status_with_template(self: Any) -> dict[str, Any]:
        """LLaVA's, and the model's conversation template for the web server, which knows the model's name only."""
        from mgimm_patches.programs import template_of

        return {**get_status(self), "conversation_template": template_of(self.model.config)}

    def generate_stream(self: Any, params: dict[str, Any]) -> Iterator[bytes]:
        from mgimm_patches._worker_stream import answer_stream

        yield from answer_stream(self, params)

    def generate_stream_gate(self: Any, params: dict[str, Any]) -> Iterator[bytes]:
        """Errors become answers: a wrong request hears what is wrong with it, anything else is logged."""
        from mgimm_patches._worker_stream import message
        from mgimm_plugin.errors import MgimmError

        try:
            yield from self.generate_stream(params)
        except (MgimmError, ValueError) as error:
            module.logger.info(f"refused: {type(error).__name__}: {error}")
            yield message(f"{type(error).__name__}: {error}", error_code=1)
        except Exception as error:  # the server's outermost frame: one request's defect must not end the worker
            module.logger.exception("a request failed")
            yield message(f"{module.server_error_msg} ({type(error).__name__})", error_code=1)

    async def refuse_body(request: Any, error: Exception) -> Any:
        from fastapi.responses import Response

        from mgimm_patches._worker_stream import message

        return Response(message(f"the body is not JSON: {error}; send one JSON object", error_code=1), status_code=400)

    worker_class.__init__ = __init__
    worker_class.send_heart_beat = send_heart_beat
    worker_class.get_status = status_with_template
    worker_class.generate_stream = generate_stream
    worker_class.generate_stream_gate = generate_stream_gate
    # What the endpoint's ``request.json()`` raises.
    for error in (json.JSONDecodeError, UnicodeDecodeError):
        module.app.add_exception_handler(error, refuse_body)
    return True


PATCHES = (
    Patch(
        name="model-worker",
        target="llava.serve.model_worker",
        reason="a heart beat that nobody receives blocks the worker; images go by the model's name; no regions",
        obsolete_when="a worker with --no-register answers worker_generate_stream",
        change=_change_worker,
    ),
)
