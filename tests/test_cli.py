"""The command line: its answers, its exit codes, and one clear line for everything that goes wrong."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image
from typer.testing import CliRunner

from mgimm_plugin.cli import app

ROOT = Path(__file__).resolve().parents[1]
SHORT = ["--max-new-tokens", "6"]


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """A checkpoint of random weights."""
    import torch

    from mgimm_plugin.model.config import VisionSettings, multimodal_config
    from mgimm_plugin.model.folders import CheckpointKind
    from mgimm_plugin.model.loading import finish, load_tokenizer, load_weights
    from mgimm_plugin.model.saving import save_checkpoint
    from tests.tiny import build_llm, build_tower

    folder = tmp_path_factory.mktemp("tiny")
    tower, llm = build_tower(folder / "tower"), build_llm(folder / "llm")
    config = multimodal_config(str(llm), VisionSettings(str(tower)))
    tokenizer = load_tokenizer(llm, str(llm))
    built = finish(load_weights(str(llm), config, dtype=torch.float32), tokenizer, device=None, dtype=torch.float32)
    save_checkpoint(built, tokenizer, folder / "model", CheckpointKind.FULL)
    return str(folder / "model")


@pytest.fixture
def picture(tmp_path):
    path = tmp_path / "scene.png"
    Image.effect_noise((90, 60), 80).convert("RGB").save(path)
    return path


@pytest.fixture
def data(tmp_path, picture):
    path = tmp_path / "records.jsonl"
    records = [
        {
            "id": f"r{number}",
            "image": picture.name,
            "regions": [{"bbox": [5, 5, 40, 30], "attributes": {"color": "red", "position": "left"}}],
            "conversations": [
                {"from": "human", "value": "<region>\nWhat is it?"},
                {"from": "gpt", "value": "A red ship on the left."},
            ],
        }
        for number in range(3)
    ]
    path.write_text("".join(json.dumps(record) + "\n" for record in records))
    return path


def mgimm(*args):
    return CliRunner().invoke(app, [str(arg) for arg in args], prog_name="mgimm")


def one_line(result):
    """The line of a failed command."""
    assert result.exit_code == 1, result.output
    assert result.stderr.count("\n") == 1, result.stderr
    return result.stderr


def test_help_is_quick_because_it_imports_nothing_heavy():
    code = (
        "import sys; from mgimm_plugin.cli import main; sys.argv = ['mgimm', '--help']\n"
        "try: main()\n"
        "finally: sys.stderr.write(' '.join({'torch', 'numpy', 'PIL', 'transformers', 'rich'} & set(sys.modules)))"
    )
    environment = {**os.environ, "PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'patches'}"}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment, check=False)
    assert done.returncode == 0
    assert "describe" in done.stdout
    assert done.stderr == ""


def test_python_dash_m_is_the_same_program():
    environment = {**os.environ, "PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'patches'}"}
    command = [sys.executable, "-m", "mgimm_plugin", "--version"]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=True)
    assert done.stdout.strip().count(".") == 2


@pytest.mark.parametrize(
    "command",
    ["describe", "evaluate", "prepare", "scenes", "validate", "stats", "preview", "merge-lora", "doctor", "llava"],
)
def test_every_command_has_help_with_an_example(command):
    result = mgimm(command, "--help")
    assert result.exit_code == 0
    assert f"Example: mgimm {command}" in result.stdout


@pytest.mark.parametrize(
    "args",
    [
        ["nonsense"],
        ["describe"],
        ["describe", "scene.png", "--nonsense"],
        ["describe", "scene.png", "--box", "1,2,3"],
        ["describe", "scene.png", "--box", "30,5,10,20"],
        ["describe", "scene.png", "--box", "1,2,3,four"],
        ["describe", "scene.png", "--box", "1,2,3,4", "--regions", "grid:2x2"],
        ["describe", "scene.png", "--task", "region"],
        ["describe", "scene.png", "--task", "video"],
        ["describe", "scene.png", "--max-new-tokens", "0"],
        ["evaluate", "--data", "x.jsonl"],
        ["prepare", "table", __file__, "--output", "x", "--column", "colour=label"],
        ["scenes", "--count", "0", "--output", "x"],
        ["llava"],
    ],
)
def test_bad_usage_exits_2(args):
    assert mgimm(*args).exit_code == 2


def test_boxes_are_described_one_by_one(model, picture):
    result = mgimm("describe", picture, "--model", model, "--box", "0,0,30,30", "--box", "-5,10.5,60,60", *SHORT)
    assert result.exit_code == 0, result.output
    lines = result.stdout.splitlines()
    assert [line.split("]")[0] for line in lines] == ["[0, 0, 30, 30", "[-5, 10.5, 60, 60"]


def test_json_has_what_a_program_needs(model, picture):
    result = mgimm("describe", picture, "--model", model, "--box", "0,0,30,30", "--json", *SHORT)
    found = json.loads(result.stdout)
    assert set(found) == {"image", "width", "height", "model", "task", "regions", "text"}
    assert (found["width"], found["height"], found["task"], found["text"]) == (90, 60, "region", None)
    assert found["regions"][0]["bbox"] == [0, 0, 30, 30]
    assert isinstance(found["regions"][0]["text"], str)


def test_task_image_gives_one_description_guided_by_the_boxes(model, picture):
    options = ["--model", model, "--json", *SHORT]
    guided = json.loads(mgimm("describe", picture, "--box", "0,0,30,30", "--task", "image", *options).stdout)
    alone = json.loads(mgimm("describe", picture, *options).stdout)
    assert guided["task"] == alone["task"] == "image"
    assert guided["regions"] == [{"bbox": [0, 0, 30, 30], "text": None}]
    assert alone["regions"] == []
    assert isinstance(guided["text"], str)


def test_a_grid_stands_in_for_boxes(model, picture):
    result = mgimm("describe", picture, "--model", model, "--regions", "grid:2x3", "--json", *SHORT)
    regions = json.loads(result.stdout)["regions"]
    assert len(regions) == 6
    assert regions[0]["bbox"] == [0, 0, 30, 30]


def test_a_boxes_file_stands_in_for_boxes(model, picture, tmp_path):
    (tmp_path / "boxes.txt").write_text("0 0 30 30\n")
    result = mgimm("describe", picture, "--model", model, "--boxes-file", tmp_path / "boxes.txt", "--json", *SHORT)
    assert [region["bbox"] for region in json.loads(result.stdout)["regions"]] == [[0, 0, 30, 30]]


def test_failures_are_one_line_that_says_what_is_wrong(model, picture, tmp_path):
    assert "nothing.png does not exist" in one_line(mgimm("describe", tmp_path / "nothing.png", "--model", model))
    assert "outside the 90x60 image" in one_line(mgimm("describe", picture, "--model", model, "--box", "95,1,99,9"))
    assert "grid" in one_line(mgimm("describe", picture, "--model", model, "--regions", "circle:3"))
    (tmp_path / "empty").mkdir()
    assert "empty" in one_line(mgimm("describe", picture, "--model", tmp_path / "empty"))
    assert "no_such.txt" in one_line(mgimm("describe", picture, "--boxes-file", tmp_path / "no_such.txt"))
    assert "llava has no program 'nonsense'" in one_line(mgimm("llava", "nonsense"))
    assert "no weights here" in one_line(mgimm("merge-lora", tmp_path / "empty", tmp_path / "out"))


def test_the_bundled_model_says_what_it_knows_where_nobody_chose_it(model, picture, caplog):
    result = mgimm("describe", picture, "--json", *SHORT)
    assert json.loads(result.stdout)["model"].endswith("mgimm-mini")
    assert caplog.messages == ["the bundled model knows drawn scenes only; --model names another"]
    caplog.clear()
    assert mgimm("describe", picture, "--model", model, *SHORT).exit_code == 0
    assert caplog.messages == []


@pytest.mark.parametrize("place", [0, 1, 3])
def test_debug_shows_the_traceback_wherever_it_stands(tmp_path, place):
    args = ["describe", str(tmp_path / "nothing.png"), "--json"]
    result = mgimm(*args[:place], "--debug", *args[place:])
    assert type(result.exception).__name__ == "ImageError"


def test_evaluate_writes_its_files_and_resumes(model, data, tmp_path, monkeypatch):
    from mgimm_plugin.evaluate import captions

    monkeypatch.setattr(captions, "unavailable_reason", lambda: "no java here")  # METEOR takes seconds to start
    options = ["--model", model, "--data", data, "--output", tmp_path / "out", *SHORT]
    result = mgimm("evaluate", *options)
    assert result.exit_code == 0, result.output
    assert "appearance_accuracy" in result.stdout
    assert "no java here" in result.stderr
    metrics = json.loads((tmp_path / "out" / "metrics.json").read_text())
    assert metrics["records_answered"] == 3
    assert len((tmp_path / "out" / "predictions.jsonl").read_text().splitlines()) == 3
    assert mgimm("evaluate", *options).exit_code == 0
    assert "blank_image (was False, now True)" in one_line_after_progress(mgimm("evaluate", *options, "--blank-image"))
    blank = [*options[:4], "--output", tmp_path / "blank", "--blank-image", "--compare", tmp_path / "out", *SHORT]
    assert mgimm("evaluate", *blank).exit_code == 0
    assert "blank (blank image)" in (tmp_path / "blank" / "report.html").read_text()


def one_line_after_progress(result):
    assert result.exit_code == 1
    assert "Traceback" not in result.stderr
    return result.stderr.splitlines()[-1]


@pytest.fixture
def too_little_memory():
    """A GPU without room for one question."""
    import torch
    from transformers.models.llama.modeling_llama import LlamaDecoderLayer

    def fail(module, given):
        if isinstance(module, LlamaDecoderLayer):
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB. GPU 0 has 4 GiB. Including ...")

    hook = torch.nn.modules.module.register_module_forward_pre_hook(fail)
    yield
    hook.remove()


@pytest.mark.usefixtures("too_little_memory")
def test_too_little_memory_is_said_with_what_does_not_fit_and_what_to_do(model, picture, data, tmp_path):
    evaluated = mgimm("evaluate", "--data", data, "--output", tmp_path / "out", "--model", model, *SHORT)
    described = mgimm("describe", picture, "--box", "1,1,40,40", "--model", model, "--num-beams", "2", *SHORT)
    for result, command, what, lower in (
        (evaluated, "evaluate", "the question of record r0", "--max-new-tokens"),
        (described, "describe", "a question", "--max-new-tokens or --num-beams"),
    ):
        line = one_line_after_progress(result)
        assert line.startswith(f"mgimm {command}: the GPU's memory is too small for {what} (up to ")
        assert f"lower {lower}, or name another device by --device, or see with nvidia-smi" in line
        assert "(CUDA out of memory. Tried to allocate 2 GiB. GPU 0 has 4 GiB; mgimm --debug" in line


def test_a_model_too_large_for_the_memory_is_said_with_what_to_do(picture, monkeypatch):
    import torch

    from mgimm_plugin.predictor import Predictor

    def fail(*arguments, **options):
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB.")

    monkeypatch.setattr(Predictor, "from_pretrained", fail)
    line = one_line_after_progress(mgimm("describe", picture))
    assert "memory is too small: load the model in fewer bits (--dtype bfloat16 or float16), or name another" in line
    assert "--max-new-tokens" not in line


def test_scenes_are_written_and_valid(tmp_path):
    result = mgimm("scenes", "--count", "2", "--seed", "5", "--output", tmp_path / "set", "--workers", "1")
    assert result.exit_code == 0, result.output
    for name in ("region", "image"):
        checked = mgimm("validate", tmp_path / "set" / f"{name}.jsonl", "--images", tmp_path / "set")
        assert checked.exit_code == 0
        assert "0 problems" in checked.stderr


def test_validate_lists_every_problem(data, picture):
    lines = data.read_text().splitlines()
    bad = json.loads(lines[0]) | {"id": "bad", "regions": [{"bbox": [9, 9, 1, 1]}]}
    outside = json.loads(lines[0]) | {"id": "outside", "regions": [{"bbox": [95, 9, 99, 20]}]}
    data.write_text("\n".join([lines[0], lines[0], json.dumps(bad), "no json", json.dumps(outside)]))
    result = mgimm("validate", data, "--images", picture.parent)
    assert result.exit_code == 1
    problems = result.stdout.splitlines()
    assert len(problems) == 4
    assert "index 1, record r0, field id" in problems[0]
    assert "record bad, field regions[0].bbox" in problems[1]
    assert "line 4 is not valid JSON" in problems[2]
    assert "record outside" in problems[3]
    assert "1 region-instruction" in result.stderr


def test_doctor_reports_as_text_and_as_json():
    result = mgimm("doctor", "--json")
    report = json.loads(result.stdout)
    assert report["patches"]
    assert result.exit_code == (0 if report["healthy"] else 1)
    assert "Python" in mgimm("doctor").stdout


def test_a_module_of_llava_gets_all_its_arguments(monkeypatch):
    import mgimm_patches.runner

    calls = []
    monkeypatch.setattr(mgimm_patches.runner, "run_module", lambda name, argv: calls.append((name, argv)) or 7)
    result = mgimm("llava", "serve.cli", "--help", "--debug", "--model-path", "x", "--", "-v", "y")
    assert result.exit_code == 7
    assert calls == [("serve.cli", ["--help", "--debug", "--model-path", "x", "--", "-v", "y"])]
    assert mgimm("llava", "--help").stdout.startswith("Usage")
    assert len(calls) == 1
