"""How the model worker answers one request: what ``model_worker`` puts in the place of LLaVA's ``generate_stream``."""

from __future__ import annotations

import base64
import inspect
import json
import threading
import traceback
from collections.abc import Iterator, Sequence
from typing import Any

import torch
from llava import mm_utils
from transformers import StoppingCriteria, TextIteratorStreamer

from mgimm_patches._worker_request import WorkerRequest
from mgimm_plugin.constants import DEFAULT_IMAGE_TOKEN, DEFAULT_REGION_TOKEN
from mgimm_plugin.data.images import decode_image, frame_size_of, preprocess_image
from mgimm_plugin.data.region_input import RegionInput
from mgimm_plugin.errors import ImageError, ImageTooLargeError, MgimmError
from mgimm_plugin.geometry import clip_boxes, frame_for, quantize_boxes
from mgimm_plugin.growing_text import cut_at_stop
from mgimm_plugin.serve.settings import Limits

DEFAULT_CONTEXT = 2048
MAX_PIXELS = Limits().pixels
"""Of an image, and of what an elongated one is padded or resized to: as of ``mgimm serve``."""


def answer_stream(worker: Any, params: Any) -> Iterator[bytes]:
    """Stream LLaVA's messages: JSON with the prompt and the answer so far, each followed by a zero byte.

    Args:
        worker: LLaVA's ``ModelWorker``.
        params: ``prompt``, and optionally ``images`` (base64), ``regions`` (pixel ``xyxy`` boxes of the first image, in
            the order of the prompt's ``<region>`` tokens), ``temperature``, ``top_p``, ``max_new_tokens``, ``stop`` (a
            text, or several).

    Raises:
        MgimmError: A field is wrong, or images, boxes and the tokens of the prompt do not belong together.
    """
    request = WorkerRequest.read(params)
    prompt = request.prompt
    inputs = _model_inputs(worker, request)
    room = getattr(worker.model.config, "max_position_embeddings", DEFAULT_CONTEXT) - inputs.pop("length")
    if room < 1:
        text = prompt + "Exceeds max token length. Please start a new conversation, thanks."
        yield message(text, error_code=0)
        return
    settings = {**_sampling(request), "max_new_tokens": min(request.max_new_tokens, room)}
    answer = ""
    for piece in _generate(worker, request.stop, {**inputs, **settings}):
        answer += piece
        yield message(prompt + cut_at_stop(answer, request.stop), error_code=0)


def message(text: str, *, error_code: int) -> bytes:
    """One message of the stream."""
    return json.dumps({"text": text, "error_code": error_code}).encode() + b"\0"


def _sampling(request: WorkerRequest) -> dict[str, Any]:
    if request.temperature <= 0.001:
        return {"do_sample": False, "use_cache": True}
    return {"do_sample": True, "use_cache": True, "temperature": request.temperature, "top_p": request.top_p}


def _model_inputs(worker: Any, request: WorkerRequest) -> dict[str, Any]:
    """Arguments of ``generate``, and ``length``: the tokens that they take up in the context."""
    model, prompt = worker.model, request.prompt
    views, sizes = _images(worker, request)
    inputs: dict[str, Any] = _region_inputs(worker, prompt, request.regions, sizes)
    taken = prompt.count(DEFAULT_REGION_TOKEN) * (RegionInput.of(model.config).tokens_per_region - 1)
    if views:
        inputs["images"] = torch.stack(views) if len({view.shape for view in views}) == 1 else views
        inputs["image_sizes"] = sizes
        patches = model.get_vision_tower().num_patches
        taken += prompt.count(DEFAULT_IMAGE_TOKEN) and sum(patches * (v.shape[0] if v.ndim == 4 else 1) for v in views)
    if getattr(model.config, "mm_use_im_start_end", False):
        prompt = prompt.replace(DEFAULT_IMAGE_TOKEN, f"<im_start>{DEFAULT_IMAGE_TOKEN}<im_end>")
    # Looked up now: it may have been patched after this module was imported.
    ids = mm_utils.tokenizer_image_token(prompt, worker.tokenizer, return_tensors="pt")[None].to(model.device)
    return {**inputs, "inputs": ids, "length": ids.shape[1] + taken}


def _images(worker: Any, request: WorkerRequest) -> tuple[list[torch.Tensor], list[tuple[int, int]]]:
    """What the tower takes of each image, and (width, height) of the image in pixels."""
    encoded, tokens = request.images, request.prompt.count(DEFAULT_IMAGE_TOKEN)
    # A question about regions alone shows its image to the region encoder only.
    speaks_of_regions = DEFAULT_REGION_TOKEN in request.prompt
    if len(encoded) != tokens and not (speaks_of_regions and tokens == 0 and len(encoded) == 1):
        raise MgimmError(f"the request has {len(encoded)} images and the prompt {tokens} {DEFAULT_IMAGE_TOKEN} tokens")
    if encoded and not worker.is_multimodal:
        raise MgimmError(f"{worker.model_name} is a language model: it sees no images")
    views, sizes = [], []
    for index, text in enumerate(encoded):
        view, size = _image(worker, text, f"images[{index}]")
        # The tower casts to its own dtype: pixels stay as exact as the model is.
        views.append(view.to(worker.model.device, dtype=worker.model.dtype))
        sizes.append(size)
    return views, sizes


def _image(worker: Any, text: str, field: str) -> tuple[torch.Tensor, tuple[int, int]]:
    config = worker.model.config
    try:
        content = base64.b64decode(text)
    except ValueError as error:
        raise ImageError(f"is not base64: {error}", field=field) from error
    try:
        image = decode_image(content, name=field, max_pixels=MAX_PIXELS)
        pinpoints = getattr(config, "image_grid_pinpoints", None)
        view = preprocess_image(image, worker.image_processor, _mode(config), pinpoints, max_pixels=MAX_PIXELS)
    except ImageTooLargeError as error:
        raise ImageError(f"{error.fact}; send it smaller, or cut it into tiles", field=field) from error
    except ImageError as error:
        raise error.at(field=field) from error
    return view, image.size


def _mode(config: Any) -> str:
    return getattr(config, "image_aspect_ratio", None) or "square"  # LLaVA's meaning of a missing key


def _region_inputs(worker: Any, prompt: str, regions: Any, sizes: Sequence[tuple[int, int]]) -> dict[str, Any]:
    """``boxes`` and whose they are, for the boxes of the first image."""
    tokens, count = prompt.count(DEFAULT_REGION_TOKEN), len(regions) if isinstance(regions, list) else -1
    if count != tokens:
        given = f"{count} boxes" if count >= 0 else "no list of boxes"
        raise MgimmError(f"regions has {given} and the prompt {tokens} {DEFAULT_REGION_TOKEN} tokens: one box a token")
    if not regions:
        return {}
    if not sizes:
        raise MgimmError("regions are boxes of an image, and the request has no image")
    takes_boxes = "boxes" in inspect.signature(worker.model.generate).parameters
    if not takes_boxes or not RegionInput.of(worker.model.config).takes_boxes:
        raise MgimmError(f"{worker.model_name} has no region encoder: send a prompt without {DEFAULT_REGION_TOKEN}")
    width, height = sizes[0]
    clipped, _ = clip_boxes(regions, width, height)
    frame_size = frame_size_of(worker.image_processor)
    frame = frame_for(width, height, mode=_mode(worker.model.config), frame_size=frame_size)
    boxes = torch.from_numpy(quantize_boxes(frame.to_unit(clipped))).to(worker.model.device)
    return {
        "boxes": boxes,
        "image_index": torch.zeros(len(boxes), dtype=torch.long, device=boxes.device),
        "image_row": torch.zeros(len(sizes), dtype=torch.long, device=boxes.device),
    }


class _Stop(StoppingCriteria):
    """Stops at a stop text, and when nobody listens any more."""

    def __init__(self, tokenizer: Any, stop: Sequence[str]) -> None:
        self.tokenizer, self.stop = tokenizer, stop
        self.cancelled = threading.Event()

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor, **kwargs: Any) -> Any:
        # The ids are those of the answer alone, since the prompt went in as embeddings.
        done = self.cancelled.is_set()
        if self.stop and not done:
            text = self.tokenizer.decode(input_ids[0])
            done = any(stop in text for stop in self.stop)
        return torch.full((input_ids.shape[0],), done, device=input_ids.device, dtype=torch.bool)


def _generate(worker: Any, stop: Sequence[str], arguments: dict[str, Any]) -> Iterator[str]:
    """Run ``generate`` in a thread; yields text as it comes, and raises here what was raised there."""
    streamer = TextIteratorStreamer(worker.tokenizer, skip_prompt=True, skip_special_tokens=True)
    criterion = _Stop(worker.tokenizer, stop)
    errors: list[Exception] = []

    def run() -> None:
        try:
            worker.model.generate(**arguments, streamer=streamer, stopping_criteria=[criterion])
        except Exception as error:  # handed to the thread that answers the request
            traceback.clear_frames(error.__traceback__)  # they hold tensors for as long as somebody has the error
            errors.append(error)
            streamer.text_queue.put(streamer.stop_signal)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    try:
        yield from streamer
    finally:
        criterion.cancelled.set()
    thread.join()
    if errors:
        raise errors.pop()  # or it would be in a circle with this frame, and with the tensors of the arguments
