"""Processes that torchrun starts share the GPUs out."""

import pytest
import torch

from mgimm_plugin.commands.loading import device_of_process
from mgimm_plugin.errors import MgimmError
from mgimm_plugin.model.devices import usable_device


@pytest.mark.parametrize(
    ("asked", "given"), [(None, "cuda:3"), ("cuda", "cuda:3"), ("cuda:1", "cuda:1"), ("cpu", "cpu")]
)
def test_each_process_takes_a_gpu_of_its_own_unless_told_otherwise(monkeypatch, asked, given):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 4)
    monkeypatch.delenv("LOCAL_RANK", raising=False)
    assert device_of_process(asked) == asked
    monkeypatch.setenv("LOCAL_RANK", "3")
    assert device_of_process(asked) == given


@pytest.mark.parametrize("asked", [None, "cuda"])
def test_a_process_that_sees_one_gpu_takes_it_whatever_its_rank(monkeypatch, asked):
    """As under ``srun --gpus-per-task=1``, or with a slice of a GPU for each process."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    monkeypatch.setenv("LOCAL_RANK", "1")
    monkeypatch.delenv("TORCHELASTIC_RUN_ID", raising=False)
    assert usable_device(device_of_process(asked)) == torch.device("cuda:0")
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "all see the same")
    with pytest.raises(MgimmError, match="there is no device cuda:1 here"):
        usable_device(device_of_process(asked))
