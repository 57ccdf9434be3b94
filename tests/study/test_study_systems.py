from pathlib import Path

import pytest

import mgimm_plugin
from scripts.study.comparisons import COMPARISONS
from scripts.study.outcomes import OUTCOMES
from scripts.study.recipes import Bases, image_arguments, region_arguments, region_share
from scripts.study.systems import MODES, SCALES, SYSTEMS, Recipe, Scale

mgimm_plugin.register()
from mgimm_plugin.train.command_line import parse_arguments  # noqa: E402 - LLaVA's trainer imports once the plugin is active

ROOT = Path(__file__).resolve().parents[2]
BASES = Bases(str(ROOT / "playground" / "mini-llama"), str(ROOT / "playground" / "mini-clip"))


@pytest.fixture(params=SYSTEMS.values(), ids=SYSTEMS)
def system(request):
    return request.param


def image_flags(system, scale, tmp_path):
    places = (tmp_path / "train", tmp_path / "region", tmp_path / "image")
    return image_arguments(system, scale, BASES, *places, seed=3, factor=0.5)


@pytest.mark.parametrize("scale", SCALES.values(), ids=SCALES)
def test_training_takes_the_flags_of_every_system(system, scale, tmp_path):
    region = region_arguments(system, scale, BASES, tmp_path / "train", tmp_path / "region", seed=3, factor=0.5)
    model, data, training = parse_arguments(region)
    assert training.stage == "region"
    assert training.max_steps == scale.region_steps
    assert training.learning_rate == pytest.approx(scale.region_rate / 2)
    assert (training.seed, model.mm_region_seed) == (3, 3)
    model, data, training = parse_arguments(image_flags(system, scale, tmp_path))
    assert training.stage == "image"
    assert training.lora_enable
    has_region_stage = system.recipe is Recipe.TWO_STAGES
    assert model.model_name_or_path == str(tmp_path / "region" if has_region_stage else BASES.llm)
    assert data.data_path == [str(tmp_path / "train" / ("image.jsonl" if system.guided else "image.plain.jsonl"))]


def test_all_systems_see_the_same_number_of_examples(system, tmp_path):
    scale = SCALES["full"]
    steps = parse_arguments(image_flags(system, scale, tmp_path))[2].max_steps
    if system.recipe is Recipe.TWO_STAGES:
        steps += scale.region_steps
    assert steps == scale.region_steps + scale.image_steps


def test_one_stage_sees_as_many_records_of_each_kind_as_two_stages_together():
    scale = Scale(scenes=(1, 1, 1), batch=10, region_steps=30, image_steps=20)
    one, two, alone = (region_share(SYSTEMS[name], scale) for name in ("one_stage", "multi_grained", "no_region_stage"))
    assert one * 50 == pytest.approx(30 + two * 20)
    assert alone == 0


def test_systems_share_a_region_stage_only_where_it_is_the_same():
    by_name = {}
    for system in SYSTEMS.values():
        assert by_name.setdefault(system.region_stage, system.model_flags) == system.model_flags
    assert (
        SYSTEMS["global"].region_stage
        == SYSTEMS["lora_r4_alpha64"].region_stage
        == SYSTEMS["multi_grained"].region_stage
    )


def test_every_comparison_is_between_rows_that_are_asked_what_it_compares():
    for pair in COMPARISONS:
        for name, mode in ((pair.first, pair.first_mode), (pair.second, pair.second_mode)):
            for outcome in pair.outcomes:
                assert mode in SYSTEMS[name].modes[OUTCOMES[outcome][0]], (pair, outcome)


def test_primary_comparisons_are_of_headline_rows_shown_the_same():
    primary = [pair for pair in COMPARISONS if pair.primary]
    assert sum(len(pair.outcomes) for pair in primary) == 10
    for pair in primary:
        assert pair.first_mode == pair.second_mode
        assert {SYSTEMS[pair.first].group, SYSTEMS[pair.second].group} == {"headline"}


def test_shifted_scenes_are_for_the_rows_and_perturbed_boxes_for_standard_scenes():
    full, small = SCALES["full"], SCALES["small"]
    row, study = SYSTEMS["multi_grained"], SYSTEMS["lora_r4_alpha64"]
    assert full.asks(row, "true", is_shifted=True)
    assert full.asks(study, "true", is_shifted=False)
    assert not full.asks(study, "true", is_shifted=True)
    assert not full.asks(row, "jittered", is_shifted=True)
    assert not small.asks(row, "dropped", is_shifted=False)


def test_multi_grained_is_asked_in_every_mode():
    assert SYSTEMS["multi_grained"].modes == MODES
