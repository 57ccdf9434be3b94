"""The benchmarks compare two ways that give the same, and say so."""

import json
import re
import weakref

import pytest
import torch
from typer.testing import CliRunner

from mgimm_plugin.bench import BENCHMARKS, get_benchmark
from mgimm_plugin.bench.measuring import Measurement, in_turns
from mgimm_plugin.cli import app
from mgimm_plugin.errors import MgimmError, MissingExtraError

CPU = torch.device("cpu")


def test_ways_are_called_in_turns_and_the_medians_returned(monkeypatch):
    calls, now = [], [0.0]
    seconds = {"usual": iter([9, 2, 1, 7]), "ours": iter([9, 5, 5, 1])}
    monkeypatch.setattr("time.perf_counter", lambda: now[0])

    def way(name):
        calls.append(name)
        now[0] += next(seconds[name])

    assert in_turns(lambda: way("usual"), lambda: way("ours"), repeats=3) == [2.0, 5.0]
    assert calls == ["usual", "ours"] * 4


def test_a_measurement_has_the_fields_of_the_json_output():
    row = Measurement(name="rim", case="forward", usual_s=3.0, ours_s=1.5, max_difference=0.0, more={"boxes": 2})
    assert row.as_dict() == {
        **{"name": "rim", "case": "forward", "usual_s": 3.0, "ours_s": 1.5, "max_difference": 0.0},
        **{"ratio": 2.0, "boxes": 2},
    }


def test_both_ways_of_the_region_interactive_module_agree():
    rows = list(get_benchmark("rim")(CPU, boxes=3, patches=12, channels=64))
    assert [row.case for row in rows] == ["forward", "forward and backward"]
    assert all(row.max_difference < 1e-4 for row in rows)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["region-stage", "image-stage"])
def test_both_ways_of_a_stage_have_the_same_loss_curve(name, monkeypatch):
    get_benchmark(name)  # imports the module
    from mgimm_plugin.bench import training, workload

    for constant in ("REGION_BATCH", "IMAGE_BATCH", "STEPS"):
        monkeypatch.setattr(training, constant, 2)
    monkeypatch.setattr(workload, "SCENES", 4)
    rows = list(get_benchmark(name)(CPU))
    assert [row.case.split(", ")[1] for row in rows] == ["loading included", "features on disk"]
    assert all(row.max_difference < 1e-4 for row in rows)


def test_a_stage_is_measured_on_one_device_of_a_machine_with_several_gpus(monkeypatch):
    get_benchmark("region-stage")
    from mgimm_plugin.bench import workload
    from mgimm_plugin.train.arguments import TrainingArguments

    monkeypatch.setattr(TrainingArguments, "n_gpu", property(lambda self: 4))  # as on a machine with four
    monkeypatch.setattr(workload, "SCENES", 2)
    assert workload.stage("region", CPU).model.device == CPU


@pytest.mark.slow
def test_answers_of_many_regions_are_those_of_one_after_another(monkeypatch):
    get_benchmark("regions")
    from mgimm_plugin.bench import answering, workload

    monkeypatch.setattr(answering, "REGIONS", 3)
    monkeypatch.setattr(workload, "SCENES", 3)
    (row,) = get_benchmark("regions")(CPU)
    assert row.max_difference == 0


def test_every_benchmark_of_the_help_exists_and_others_are_refused():
    result = CliRunner().invoke(app, ["bench", "--help"])
    said = "".join(result.output.split())
    for name in BENCHMARKS:
        assert name in said
        assert callable(get_benchmark(name))
    with pytest.raises(MgimmError, match="no benchmark 'speed'; there are rim, "):
        get_benchmark("speed")


def test_json_is_a_list_of_measurements(monkeypatch):
    monkeypatch.setattr(get_benchmark("rim"), "__kwdefaults__", {"boxes": 2, "patches": 4, "channels": 64})
    result = CliRunner().invoke(app, ["bench", "--only", "rim", "--json", "--device", "cpu"])
    assert result.exit_code == 0, result.output
    rows = json.loads(result.stdout)
    assert [row["name"] for row in rows] == ["rim", "rim"]
    assert {"name", "usual_s", "ours_s", "ratio", "max_difference"} <= rows[0].keys()


@pytest.fixture
def ends_early(monkeypatch):
    """Two benchmarks: one has figures, the other fails."""

    def measured(device):
        more = {"max_difference_is": "answers that differ"}
        yield Measurement(name="rim", case="forward", usual_s=3.0, ours_s=1.5, max_difference=2.9e-06)
        yield Measurement(name="rim", case="answers", usual_s=3.0, ours_s=1.5, max_difference=2.0, more=more)
        yield Measurement(name="rim", case="alone", usual_s=3.0, ours_s=1.5)

    def failing(device):
        raise MissingExtraError("httpx", "serve", "mgimm bench --only serving")

    benchmarks = {"rim": measured, "serving": failing}
    monkeypatch.setattr("mgimm_plugin.commands.bench.get_benchmark", benchmarks.__getitem__)


def test_what_was_measured_before_a_failure_is_printed(ends_early):
    result = CliRunner().invoke(app, ["bench", "--only", "rim,serving", "--json", "--device", "cpu"])
    assert result.exit_code == 1
    assert "pip install" in result.stderr
    assert [row["case"] for row in json.loads(result.stdout)] == ["forward", "answers", "alone"]


@pytest.fixture
def too_large(monkeypatch):
    """Two benchmarks, of which the first has a case that does not fit; what lives of its tensors at the second."""
    held = []

    class Large:
        def __init__(self):
            self.itself = self  # as models have

    def larger(device):
        yield Measurement(name="rim", case="small", usual_s=3.0, ours_s=1.5)
        large = Large()
        held.append(weakref.ref(large))
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB.")

    def fitting(device):
        assert held[0]() is None
        yield Measurement(name="memory", case="fits", usual_s=3.0, ours_s=1.5)

    benchmarks = {"rim": larger, "memory": fitting}
    monkeypatch.setattr("mgimm_plugin.commands.bench.get_benchmark", benchmarks.__getitem__)


def test_a_benchmark_that_does_not_fit_the_gpu_is_marked_and_the_next_one_begins_with_free_memory(too_large):
    result = CliRunner().invoke(app, ["bench", "--only", "rim,memory", "--device", "cpu"])
    assert result.exit_code == 1, result.output
    rows = [re.split(r"  +", line) for line in result.stdout.splitlines()]
    assert [row[-1] for row in rows] == ["case", "small", "did not fit the GPU's memory", "fits"]
    assert "rim did not fit the GPU's memory: CUDA out of memory. Tried to allocate 20.00 GiB.\n" in result.stderr
    result = CliRunner().invoke(app, ["bench", "--only", "rim", "--device", "cpu", "--json"])
    assert json.loads(result.stdout)[1:] == [{"name": "rim", "error": "did not fit the GPU's memory"}]


def test_the_table_says_how_much_the_two_ways_differ(ends_early):
    result = CliRunner().invoke(app, ["bench", "--only", "rim", "--device", "cpu"])
    assert result.exit_code == 0, result.output
    head, *rows = [re.split(r"  +", line) for line in result.stdout.splitlines()]
    assert head == ["benchmark", "ratio", "usual", "ours", "largest difference", "case"]
    assert rows == [
        ["rim", "2.00 x", "3.0000 s", "1.5000 s", "2.9e-06", "forward"],
        ["rim", "2.00 x", "3.0000 s", "1.5000 s", "2 answers that differ", "answers"],
        ["rim", "2.00 x", "3.0000 s", "1.5000 s", "-", "alone"],
    ]


@pytest.mark.slow
def test_a_key_or_proxy_of_the_users_is_not_between_the_benchmark_and_its_server(monkeypatch):
    pytest.importorskip("fastapi")
    get_benchmark("serving")
    from mgimm_plugin.bench import serving, workload

    monkeypatch.setenv("MGIMM_API_KEY", "secret")
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")  # where nobody listens
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.setattr(serving, "CLIENTS", 2)
    monkeypatch.setattr(workload, "SCENES", 2)
    row = next(get_benchmark("serving")(CPU))
    assert row.max_difference == 0


@pytest.mark.parametrize(
    ("visible", "expected"),
    [
        (None, ["0", "1"]),
        ("3,5", ["3", "5"]),
        ("GPU-a,GPU-b,GPU-c", ["GPU-a", "GPU-b"]),
        ("3", ["3", ""]),
        ("", ["", ""]),
    ],
)
def test_processes_of_one_gpu_take_those_that_the_user_lets_them_see(monkeypatch, tmp_path, visible, expected):
    get_benchmark("scale-out")
    from mgimm_plugin.bench.scale_out import _run

    (tmp_path / "tell_gpu.py").write_text("import os; print(os.environ['CUDA_VISIBLE_DEVICES'])")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    if visible is None:
        monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    else:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    assert [printed.strip() for printed in _run([["tell_gpu"], ["tell_gpu"]])] == expected


@pytest.mark.parametrize("stage", ["region", "image"])
def test_full_size_steps_agree_in_any_size(stage):
    get_benchmark("rim")  # registers
    from mgimm_plugin.bench import full_size

    shape = full_size.Shape(64, 96, 2, 4, 100, tower_hidden=64, tower_layers=2, side=56)
    load = full_size.Load(stage, rows=4, images=4 if stage == "image" else 2, regions=2, question=8, answer=4)
    rows = list(full_size.full_size(load, CPU, shape))
    assert [row.case.split()[-1] for row in rows] == (["adapter"] if stage == "region" else ["lora", "full"])
    assert all(row.max_difference < 2e-2 for row in rows)  # bfloat16
