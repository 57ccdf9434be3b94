"""A device that is not there is told before anything is loaded."""

import re

import pytest
import torch
from typer.testing import CliRunner

from mgimm_plugin.cli import app
from mgimm_plugin.errors import MgimmError, SettingError
from mgimm_plugin.model import devices
from mgimm_plugin.model.devices import usable_device
from mgimm_plugin.model.loading import load_model
from mgimm_plugin.resources import bundled_model


@pytest.mark.parametrize("device", ["cuda:99", "cpu:1"])
def test_a_device_that_this_machine_lacks_is_told_in_plain_words(device):
    with pytest.raises(MgimmError, match=r"^there is no .* here; (use cpu|the last one is \w+:\d+)$"):
        load_model(bundled_model(), device=device)


@pytest.mark.parametrize("device", ["bogus", "cuda:x", "meta"])
def test_a_device_that_is_none_is_bad_usage(device):
    with pytest.raises(SettingError, match=f"no device '{device}'; write cpu, cuda"):
        load_model(bundled_model(), device=device)


@pytest.mark.parametrize(
    "command", [("describe", bundled_model().parent / "examples/images/000000.jpg"), ("bench", "--only", "rim")]
)
@pytest.mark.parametrize(
    ("device", "told", "code"), [("cuda:99", "there is no ", 1), ("bogus", "no device 'bogus'", 2)]
)
def test_commands_tell_it_as_one_line(command, device, told, code):
    result = CliRunner().invoke(app, [*map(str, command), "--device", device])
    assert result.exit_code == code
    assert result.stderr.startswith(f"mgimm {command[0]}: {told}")


def test_without_a_name_the_best_device_is_taken():
    assert usable_device(None).type == ("cuda" if torch.cuda.is_available() else "cpu")
    assert usable_device("cpu") == usable_device(torch.device("cpu")) == torch.device("cpu")


TOO_OLD = "cannot be used by torch .*driver on your system is too old.* it; install a newer driver, or a torch"


def test_gpus_that_torch_cannot_use_are_warned_of_once_and_the_cpu_is_used(old_driver, caplog):
    devices._warn_once.cache_clear()
    assert usable_device(None) == usable_device(None) == torch.device("cpu")
    (warning,) = caplog.messages
    assert re.search(TOO_OLD, warning)
    assert warning.endswith("; until then the CPU is used")


@pytest.mark.parametrize("device", ["cuda", "cuda:1", "cuda:7"])
def test_gpus_that_torch_cannot_use_are_refused_where_they_are_named(old_driver, device):
    with pytest.raises(MgimmError, match=TOO_OLD):
        usable_device(device)


def test_who_names_the_cpu_is_not_warned(old_driver, caplog):
    devices._warn_once.cache_clear()
    assert usable_device("cpu") == torch.device("cpu")
    assert not caplog.messages


@pytest.mark.parametrize(
    ("capability", "expected"),
    [((7, 0), torch.float16), ((7, 5), torch.float16), ((8, 0), torch.bfloat16), ((9, 0), torch.bfloat16)],
)
def test_gpus_without_bfloat16_take_float16(monkeypatch, capability, expected):
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: capability)
    assert devices.default_dtype(torch.device("cuda:0")) == expected
    assert devices.default_dtype(torch.device("cpu")) == torch.float32
