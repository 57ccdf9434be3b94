"""How the model worker answers one request: what ``model_worker`` puts in the place of LLaVA's ``generate_stream``."""

from __future__ import annotations

import inspect
import json
import threading
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import torch
from llava.mm_utils import load_image_from_base64, process_images, tokenizer_image_token
from PIL import Image
from transformers import StoppingCriteria, TextIteratorStreamer

from mgimm_plugin.constants import DEFAULT_IMAGE_TOKEN, DEFAULT_REGION_TOKEN
from mgimm_plugin.data.images import frame_size_of
from mgimm_plugin.data.region_input import RegionInput
from mgimm_plugin.errors import ImageError, MgimmError
from mgimm_plugin.geometry import clip_boxes, frame_for, quantize_boxes

MAX_NEW_TOKENS = 1024
DEFAULT_CONTEXT = 2048


def answer_stream(worker: Any, params: Mapping[str, Any]) -> Iterator[bytes]:
    """Stream LLaVA's messages: JSON with the prompt and the answer so far, each followed by a zero byte.

    Args:
        worker: LLaVA's ``ModelWorker``.
        params: ``prompt``, and optionally ``images`` (base64), ``regions`` (pixel ``xyxy`` boxes of the first image, in
            the order of the prompt's ``<region>`` tokens), ``temperature``, ``top_p``, ``max_new_tokens``, ``stop``.

    Raises:
        MgimmError: Images, boxes and the tokens of the prompt do not belong together.
        ValueError: A number is not one.
    """
    prompt, stop = str(params["prompt"]), params.get("stop") or ""
    inputs = _model_inputs(worker, prompt, params.get("images") or [], params.get("regions") or [])
    settings = _sampling(params)
    room = getattr(worker.model.config, "max_position_embeddings", DEFAULT_CONTEXT) - inputs.pop("length")
    settings["max_new_tokens"] = min(settings["max_new_tokens"], room)
    if settings["max_new_tokens"] < 1:
        text = prompt + "Exceeds max token length. Please start a new conversation, thanks."
        yield message(text, error_code=0)
        return
    answer = ""
    for piece in _generate(worker, stop, {**inputs, **settings}):
        answer += piece
        yield message(prompt + (answer[: -len(stop)] if stop and answer.endswith(stop) else answer), error_code=0)


def message(text: str, *, error_code: int) -> bytes:
    """One message of the stream."""
    return json.dumps({"text": text, "error_code": error_code}).encode() + b"\0"


def _sampling(params: Mapping[str, Any]) -> dict[str, Any]:
    temperature = float(params.get("temperature", 1.0))
    settings: dict[str, Any] = {
        "max_new_tokens": min(int(params.get("max_new_tokens", 256)), MAX_NEW_TOKENS),
        "do_sample": temperature > 0.001,
        "use_cache": True,
    }
    if settings["do_sample"]:
        settings |= {"temperature": temperature, "top_p": float(params.get("top_p", 1.0))}
    return settings


def _model_inputs(worker: Any, prompt: str, encoded: Sequence[str], regions: Any) -> dict[str, Any]:
    """Arguments of ``generate``, and ``length``: the tokens that they take up in the context."""
    model = worker.model
    images = _images(worker, prompt, encoded, with_regions=DEFAULT_REGION_TOKEN in prompt)
    inputs: dict[str, Any] = _region_inputs(worker, prompt, regions, [image.size for image in images])
    taken = prompt.count(DEFAULT_REGION_TOKEN) * (RegionInput.of(model.config).tokens_per_region - 1)
    if images:
        pixels = process_images(images, worker.image_processor, model.config)
        # The tower casts to its own dtype: pixels stay as exact as the model is.
        views = [view.to(model.device, dtype=model.dtype) for view in pixels]
        inputs["images"] = torch.stack(views) if len({view.shape for view in views}) == 1 else views
        inputs["image_sizes"] = [image.size for image in images]
        patches = model.get_vision_tower().num_patches
        taken += prompt.count(DEFAULT_IMAGE_TOKEN) and sum(patches * (v.shape[0] if v.ndim == 4 else 1) for v in views)
    if getattr(model.config, "mm_use_im_start_end", False):
        prompt = prompt.replace(DEFAULT_IMAGE_TOKEN, f"<im_start>{DEFAULT_IMAGE_TOKEN}<im_end>")
    ids = tokenizer_image_token(prompt, worker.tokenizer, return_tensors="pt")[None].to(model.device)
    return {**inputs, "inputs": ids, "length": ids.shape[1] + taken}


def _images(worker: Any, prompt: str, encoded: Sequence[str], *, with_regions: bool) -> list[Image.Image]:
    tokens = prompt.count(DEFAULT_IMAGE_TOKEN)
    # A question about regions alone shows its image to the region encoder only.
    if len(encoded) != tokens and not (with_regions and tokens == 0 and len(encoded) == 1):
        raise MgimmError(f"the request has {len(encoded)} images and the prompt {tokens} {DEFAULT_IMAGE_TOKEN} tokens")
    if encoded and not worker.is_multimodal:
        raise MgimmError(f"{worker.model_name} is a language model: it sees no images")
    images = []
    for index, text in enumerate(encoded):
        try:
            images.append(load_image_from_base64(text).convert("RGB"))
        except (OSError, ValueError, TypeError, Image.DecompressionBombError) as error:
            raise ImageError(f"cannot be read: {error}", field=f"images[{index}]") from error
    return images


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
    mode = getattr(worker.model.config, "image_aspect_ratio", None) or "square"
    frame = frame_for(width, height, mode=mode, frame_size=frame_size_of(worker.image_processor))
    boxes = torch.from_numpy(quantize_boxes(frame.to_unit(clipped))).to(worker.model.device)
    return {
        "boxes": boxes,
        "image_index": torch.zeros(len(boxes), dtype=torch.long, device=boxes.device),
        "image_row": torch.zeros(len(sizes), dtype=torch.long, device=boxes.device),
    }


class _Stop(StoppingCriteria):
    """Stops at the stop text, and when nobody listens any more."""

    def __init__(self, tokenizer: Any, stop: str) -> None:
        self.tokenizer, self.stop = tokenizer, stop
        self.cancelled = threading.Event()

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor, **kwargs: Any) -> Any:
        # The ids are those of the answer alone, since the prompt went in as embeddings.
        done = self.cancelled.is_set() or bool(self.stop and self.stop in self.tokenizer.decode(input_ids[0]))
        return torch.full((input_ids.shape[0],), done, device=input_ids.device, dtype=torch.bool)


def _generate(worker: Any, stop: str, arguments: dict[str, Any]) -> Iterator[str]:
    """Run ``generate`` in a thread; yields text as it comes, and raises here what was raised there."""
    streamer = TextIteratorStreamer(worker.tokenizer, skip_prompt=True, skip_special_tokens=True)
    criterion = _Stop(worker.tokenizer, stop)
    errors: list[Exception] = []

    def run() -> None:
        try:
            worker.model.generate(**arguments, streamer=streamer, stopping_criteria=[criterion])
        except Exception as error:  # handed to the thread that answers the request
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
        raise errors[0]
