"""A request to the model worker that does not fit the GPU's memory holds none of it afterwards."""

import gc
import weakref
from contextlib import suppress
from types import SimpleNamespace

import torch
from mgimm_patches._worker_stream import _generate
from transformers import AutoTokenizer


def test_what_a_request_took_that_does_not_fit_is_free_when_its_error_is_reported(llava_folder):
    held = []

    def too_large(images, **arguments):
        activation = torch.zeros(1000)
        held.extend(map(weakref.ref, (activation, images)))
        raise torch.OutOfMemoryError("CUDA out of memory.")

    tokenizer = AutoTokenizer.from_pretrained(llava_folder)
    worker = SimpleNamespace(tokenizer=tokenizer, model=SimpleNamespace(generate=too_large))
    gc.disable()
    try:
        with suppress(torch.OutOfMemoryError):
            list(_generate(worker, [], {"images": torch.zeros(3, 28, 28)}))
        assert [ref() is None for ref in held] == [True, True]
    finally:
        gc.enable()
