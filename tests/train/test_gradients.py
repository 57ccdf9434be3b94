"""What is trained, with which gradients, at which rate."""

import pytest
import torch
from transformers import TrainerCallback

from mgimm_plugin.model.lora import without_lora

PARTS = ("lora_", "region_encoder", "mm_projector", "vision_tower")


class Watch(TrainerCallback):
    """Keeps the weights that a run starts from, and every gradient just before the optimizer uses it."""

    def __init__(self) -> None:
        self.before: dict[str, torch.Tensor] = {}
        self.gradients: list[dict[str, torch.Tensor]] = []

    def on_train_begin(self, args, state, control, model=None, **kwargs):
        self.before = weights(model)

    def on_pre_optimizer_step(self, args, state, control, model=None, **kwargs):
        self.gradients.append({n: p.grad.clone() for n, p in model.named_parameters() if p.grad is not None})


@pytest.fixture
def watched(monkeypatch, train):
    """Train, and return the trainer and what was watched."""
    from mgimm_plugin.train import stages

    def run(argv):
        watch = Watch()

        def trainer_with_watch(**kwargs):
            trainer = original(**kwargs)
            trainer.add_callback(watch)
            return trainer

        original = stages.MgimmTrainer
        with monkeypatch.context() as patch:
            patch.setattr(stages, "MgimmTrainer", trainer_with_watch)
            return train(argv), watch

    return run


def weights(model) -> dict[str, torch.Tensor]:
    return {name: tensor.detach().clone() for name, tensor in without_lora(model).state_dict().items()}


def part_of(name: str) -> str:
    return next((part for part in PARTS if part in name), "language_model")


def changed_parts(watch: Watch, model) -> set[str]:
    after = weights(model)
    return {part_of(name) for name, tensor in watch.before.items() if not torch.equal(tensor, after[name])}


@pytest.mark.parametrize("stage", ["region", "image"])
def test_accumulation_changes_no_gradient(bench, watched, region_run, tmp_path, stage):
    def first_gradients(batch, accumulation):
        more = {
            "data_path": [bench.image_data, bench.region_data],  # answers of very different lengths
            "max_steps": 1,
            "max_grad_norm": 0,
            "per_device_train_batch_size": batch,
            "gradient_accumulation_steps": accumulation,
        }
        output = tmp_path / f"accumulation-{accumulation}"
        if stage == "region":
            flags = bench.region_flags(output, **more)
        else:
            flags = bench.image_flags(region_run, output, lora_dropout=0, **more)
        return watched(flags)[1].gradients[0]

    at_once, in_four = first_gradients(4, 1), first_gradients(1, 4)
    assert set(at_once) == set(in_four)
    assert any(gradient.abs().max() > 1e-6 for gradient in at_once.values())
    for name, gradient in at_once.items():
        torch.testing.assert_close(in_four[name], gradient, rtol=1e-4, atol=1e-7, msg=name)


def test_region_stage_trains_region_encoder_and_projector_only(bench, watched, tmp_path):
    trainer, watch = watched(bench.region_flags(tmp_path / "run", max_steps=2))
    assert {part_of(name) for name in watch.gradients[0]} == {"region_encoder", "mm_projector"}
    # Every one of their weights is reached, not only some. (The bias of a key cancels in the softmax.)
    for name, _ in trainer.model.named_parameters():
        if not name.endswith("k_proj.bias") and part_of(name) in ("region_encoder", "mm_projector"):
            assert watch.gradients[-1][name].abs().max() > 0, name
    assert changed_parts(watch, trainer.model) == {"region_encoder", "mm_projector"}


def test_image_stage_with_lora_trains_lora_too_and_leaves_the_base_alone(bench, watched, region_run, tmp_path):
    trainer, watch = watched(bench.image_flags(region_run, tmp_path / "run", max_steps=2))
    trained = {"region_encoder", "mm_projector", "lora_"}
    assert {part_of(name) for name in watch.gradients[0]} == trained
    assert changed_parts(watch, trainer.model) == trained


def test_image_stage_without_lora_trains_the_language_model_but_not_the_tower(bench, watched, region_run, tmp_path):
    trainer, watch = watched(bench.image_flags(region_run, tmp_path / "run", max_steps=2, lora_enable=False))
    trained = {"region_encoder", "mm_projector", "language_model"}
    assert {part_of(name) for name in watch.gradients[0]} == trained
    assert changed_parts(watch, trainer.model) == trained


def test_frozen_projector_stays_as_it_was(bench, watched, tmp_path):
    trainer, watch = watched(bench.region_flags(tmp_path / "run", max_steps=1, freeze_mm_mlp_adapter=True))
    assert changed_parts(watch, trainer.model) == {"region_encoder"}


def test_frozen_projector_stays_as_it_was_beside_a_whole_language_model(bench, watched, region_run, tmp_path):
    flags = bench.image_flags(region_run, tmp_path / "run", max_steps=1, lora_enable=False, freeze_mm_mlp_adapter=True)
    trainer, watch = watched(flags)
    assert changed_parts(watch, trainer.model) == {"region_encoder", "language_model"}


def test_projector_and_region_encoder_have_their_own_rates(bench, watched, region_run, tmp_path):
    rates = {"learning_rate": 4e-4, "mm_projector_lr": 2e-4, "mm_region_lr": 1e-4, "lr_scheduler_type": "constant"}
    trainer, _ = watched(bench.image_flags(region_run, tmp_path / "run", max_steps=1, weight_decay=0.1, **rates))
    names = {id(parameter): name for name, parameter in trainer.model.named_parameters()}
    found: dict[str, set[float]] = {}
    for group in trainer.optimizer.param_groups:
        for parameter in group["params"]:
            name = names.pop(id(parameter))
            found.setdefault(part_of(name), set()).add(group["lr"])
            assert group["weight_decay"] == (0.0 if name.endswith("bias") or "norm" in name else 0.1), name
    assert found == {"lora_": {4e-4}, "mm_projector": {2e-4}, "region_encoder": {1e-4}}
    assert not [name for name in names.values() if part_of(name) in found]  # none is left out


def test_a_rate_of_zero_is_a_rate(bench, watched, tmp_path):
    for part in ("mm_projector", "mm_region"):
        flags = bench.region_flags(tmp_path / part, max_steps=1, **{f"{part}_lr": 0})
        trainer, watch = watched(flags)
        trained = {"region_encoder", "mm_projector"}
        assert changed_parts(watch, trainer.model) == trained - {part.replace("mm_region", "region_encoder")}


@pytest.mark.parametrize("stage", ["region", "image"])
def test_gradient_checkpointing_changes_no_gradient(bench, watched, region_run, tmp_path, stage):
    def first_gradients(checkpointing):
        more = {"max_steps": 1, "max_grad_norm": 0, "gradient_checkpointing": checkpointing}
        output = tmp_path / f"checkpointing-{checkpointing}"
        if stage == "region":
            flags = bench.region_flags(output, **more)
        else:
            flags = bench.image_flags(region_run, output, lora_dropout=0, **more)
        trainer, watch = watched(flags)
        layers = without_lora(trainer.model).get_model().layers
        assert all(layer.gradient_checkpointing == checkpointing for layer in layers)
        return watch.gradients[0]

    plain, checkpointed = first_gradients(False), first_gradients(True)
    assert set(plain) == set(checkpointed)
    for name, gradient in plain.items():
        torch.testing.assert_close(checkpointed[name], gradient, rtol=1e-4, atol=1e-7, msg=name)


def test_in_bfloat16_what_is_trained_stays_float32(bench, watched, region_run, tmp_path):
    trainer, watch = watched(bench.image_flags(region_run, tmp_path / "run", bf16=True, max_steps=2))
    dtypes: dict[str, set[torch.dtype]] = {}
    for name, parameter in trainer.model.named_parameters():
        dtypes.setdefault(part_of(name), set()).add(parameter.dtype)
    trained = {part: {torch.float32} for part in ("lora_", "mm_projector", "region_encoder")}
    assert dtypes == {**trained, "language_model": {torch.bfloat16}, "vision_tower": {torch.bfloat16}}
    assert without_lora(trainer.model).get_model().region_encoder.box_encoder.fourier_matrix.dtype == torch.float32
    for name, gradient in watch.gradients[-1].items():
        assert gradient.dtype == torch.float32, name
        assert gradient.isfinite().all(), name
