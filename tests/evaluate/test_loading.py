"""Processes that torchrun starts share the GPUs out."""

import pytest
import torch

from mgimm_plugin.commands.loading import device_of_process


@pytest.mark.parametrize(
    ("asked", "given"), [(None, "cuda:3"), ("cuda", "cuda:3"), ("cuda:1", "cuda:1"), ("cpu", "cpu")]
)
def test_each_process_takes_a_gpu_of_its_own_unless_told_otherwise(monkeypatch, asked, given):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.delenv("LOCAL_RANK", raising=False)
    assert device_of_process(asked) == asked
    monkeypatch.setenv("LOCAL_RANK", "3")
    assert device_of_process(asked) == given
