"""``--eval_data_path``: the loss on other records is logged, and the best checkpoint is what remains."""

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from tests.train.launch import start
from tests.train.test_ranks import MODES, check_checkpoint

KINDS = {
    "region": ("mgimm_adapter", {"learning_rate": 5e-2}),
    "lora": ("adapter_model", {"lora_dropout": 0}),
    "full": ("model", {"lora_enable": False}),
}


ANSWERS = {
    "right": "A large red round storage tank in the top left of this remote sensing image.",
    "misleading": "tank " * 12,
}
"""Whole words of the tiny tokenizer: the second makes the first less likely with every step."""


@pytest.fixture(scope="module")
def misleading(bench) -> Path:
    """Records with misleading answers; those with right ones are beside them."""
    records = [json.loads(line) for line in bench.region_data.read_text().splitlines()]
    for name, answer in ANSWERS.items():
        for record in records:
            record["conversations"][1]["value"] = answer
        (bench.data / f"{name}.jsonl").write_text("".join(json.dumps(record) + "\n" for record in records))
    return bench.data / "misleading.jsonl"


def evaluation_losses(run: Path) -> dict[int, float]:
    history = json.loads((run / "trainer_state.json").read_text())["log_history"]
    return {entry["step"]: entry["eval_loss"] for entry in history if "eval_loss" in entry}


def flags_of(bench, kind, region_run, misleading, run, **more):
    values = {
        "data_path": misleading,
        "eval_data_path": misleading.with_name("right.jsonl"),
        "region_data_path": None,
        "learning_rate": 2e-2,
        "lr_scheduler_type": "constant",
        "save_strategy": "steps",
        "save_steps": 2,
        "save_total_limit": 2,
        "max_steps": 6,
        **KINDS[kind][1],
        **more,
    }
    return bench.region_flags(run, **values) if kind == "region" else bench.image_flags(region_run, run, **values)


def test_an_evaluation_makes_no_logits_of_a_whole_vocabulary(bench, train, misleading, tmp_path):
    """Their memory would run out at the first evaluation, after hours of training."""
    trainer = train(flags_of(bench, "region", None, misleading, tmp_path / "run", max_steps=1, save_strategy="no"))
    widths = []
    hook = trainer.model.lm_head.register_forward_hook(lambda head, inputs, logits: widths.append(logits.shape[:-1]))
    assert trainer.evaluate()["eval_loss"] > 0
    hook.remove()
    assert widths
    assert all(len(shape) == 1 for shape in widths), "logits of every position"


def check_best_is_kept(run: Path, kind: str) -> None:
    by_step = evaluation_losses(run)
    assert list(by_step) == [2, 4, 6]
    best = min(by_step, key=by_step.__getitem__)
    assert best != 6  # else the test would not tell the best from the last
    assert {folder.name for folder in run.glob("checkpoint-*")} == {f"checkpoint-{best}", "checkpoint-6"}
    name = f"{KINDS[kind][0]}.safetensors"
    final, kept, last = (load_file(run / place / name) for place in (".", f"checkpoint-{best}", "checkpoint-6"))
    assert all(torch.equal(tensor, kept[key]) for key, tensor in final.items())
    assert not all(torch.equal(tensor, last[key]) for key, tensor in final.items())
    state = json.loads((run / "trainer_state.json").read_text())
    assert Path(state["best_model_checkpoint"]) == run / f"checkpoint-{best}"


@pytest.mark.parametrize("kind", KINDS)
def test_best_checkpoint_is_what_is_saved(bench, train, region_run, misleading, tmp_path, kind):
    run = tmp_path / "run"
    train(flags_of(bench, kind, region_run, misleading, run))
    check_best_is_kept(run, kind)
    if kind == "region":  # the same command again, when everything is done, keeps it so
        train(flags_of(bench, kind, region_run, misleading, run))
        check_best_is_kept(run, kind)


def test_saving_the_best_ones_alone_evaluates_every_epoch(bench, train, region_run, misleading, tmp_path):
    run = tmp_path / "run"
    more = {"save_strategy": "best", "save_steps": None, "max_steps": None, "num_train_epochs": 2}
    train(flags_of(bench, "region", region_run, misleading, run, **more))
    by_step = evaluation_losses(run)
    assert len(by_step) == 2
    best = min(by_step, key=by_step.__getitem__)
    final, kept = (load_file(run / place / "mgimm_adapter.safetensors") for place in (".", f"checkpoint-{best}"))
    assert all(torch.equal(tensor, kept[key]) for key, tensor in final.items())


def test_evaluation_that_is_asked_for_chooses_the_best_one_too(bench, train, region_run, misleading, tmp_path):
    run = tmp_path / "run"
    train(flags_of(bench, "region", region_run, misleading, run, eval_strategy="steps", eval_steps=2))
    check_best_is_kept(run, "region")


@pytest.mark.parametrize("mode", ["ddp", "zero3"])
def test_two_ranks_keep_the_best_one_too(bench, train, region_run, misleading, tmp_path, mode):
    run = tmp_path / "run"
    flags = flags_of(bench, "full", region_run, misleading, run, deepspeed=MODES[mode])
    start(flags, tmp_path / "log", ranks=2).wait()
    check_best_is_kept(run, "full")
    check_checkpoint(run, next((bench.data / "images").iterdir()))


def test_curves_go_to_tensorboard(bench, train, tmp_path):
    accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    run = tmp_path / "run"
    train(bench.region_flags(run, report_to=None, max_steps=2))
    (events,) = run.glob("runs/*/events.out.tfevents.*")
    loaded = accumulator.EventAccumulator(str(events)).Reload()
    assert len(loaded.Scalars("train/loss")) == 2
