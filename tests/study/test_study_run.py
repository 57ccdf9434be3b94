import json
from dataclasses import replace
from pathlib import Path

import pytest

from mgimm_plugin.errors import MgimmError
from scripts.study.data import SHIFTED, TEST, TRAIN, VALIDATION, asked_sets, draw, question_flags
from scripts.study.jobs import Study
from scripts.study.recipes import Bases
from scripts.study.run import check_same_study, run_study
from scripts.study.systems import BLANK, NONE, SCALES, SYSTEMS, TRUE, Scale
from scripts.study.trials import chosen_factor, selection_score

PLAYGROUND = Path(__file__).resolve().parents[2] / "playground"


@pytest.fixture
def study(tmp_path):
    bases = Bases(str(PLAYGROUND / "mini-llama"), str(PLAYGROUND / "mini-clip"))
    return Study(SCALES["full"], bases, tmp_path / "study")


def write_trial(study, name, factor, score):
    folder = study.folder / "trials"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{name}-rate{factor:.3g}.json").write_text(json.dumps({"score": score}))


def test_trials_are_judged_by_appearance_and_objects_of_the_tasks_a_row_answers():
    image = {"object_precision": {"a": 0.5, "b": 0.7}, "object_recall": {"a": 0.6, "b": 0.6}, "CIDEr": {"a": 9.0}}
    assert selection_score({"image": image}) == pytest.approx(0.6)
    region = {"appearance_accuracy": {"a": 1.0, "b": 0.6}}
    assert selection_score({"region": region, "image": image}) == pytest.approx(0.7)


def test_each_row_takes_the_rate_of_its_own_best_trial_and_the_studies_that_of_multi_grained(study):
    for factor, score in zip(study.scale.rate_factors, (0.5, 0.7, 0.6), strict=True):
        write_trial(study, "multi_grained", factor, score)
        write_trial(study, "roi_align", factor, 1 - score)
    assert chosen_factor(study, SYSTEMS["multi_grained"]) == 1
    assert chosen_factor(study, SYSTEMS["rim_depth_4"]) == 1
    assert chosen_factor(study, SYSTEMS["roi_align"]) == pytest.approx(1 / 3)


def test_nothing_is_chosen_from_part_of_the_trials(study):
    write_trial(study, "multi_grained", 1.0, 0.7)
    with pytest.raises(MgimmError, match="add multi_grained to --only"):
        chosen_factor(study, SYSTEMS["lora_r4_alpha64"])


def test_a_folder_takes_results_of_one_pair_of_bases_and_one_scale_only(study):
    check_same_study(study)
    check_same_study(study)
    check_same_study(Study(replace(study.scale, most_seeds=1, groups=("headline",)), study.bases, study.folder))
    with pytest.raises(MgimmError, match="another scale"):
        check_same_study(Study(SCALES["small"], study.bases, study.folder))


def test_what_is_tried_after_the_test_is_not_asked_about_its_scenes(study):
    with pytest.raises(MgimmError, match=r"interactive_roi_residual: .* add --fresh 1"):
        run_study(study, [SYSTEMS["interactive_roi_residual"]], [0], jobs=1, fresh=0)
    assert not study.folder.exists()


def test_no_two_sets_share_a_seed_and_none_but_the_training_set_is_of_the_training_split():
    scale = SCALES["full"]
    sets = [TRAIN, VALIDATION, *asked_sets(scale), *asked_sets(scale, fresh=1), *asked_sets(scale, fresh=2)]
    assert len({each.name for each in sets}) == len({(each.split, each.seed) for each in sets}) == 8
    assert [each.name for each in sets if each.split == "train"] == ["train"]
    assert asked_sets(scale) == [TEST, *SHIFTED]
    assert [each.name for each in asked_sets(scale, fresh=2)] == ["fresh-2-test"]


def test_drawn_sets_have_every_file_that_a_mode_asks_for(tmp_path):
    scale = Scale(scenes=(1, 1, 2), batch=1, region_steps=1, image_steps=1)
    draw([TEST], scale, tmp_path)
    draw([TEST], scale, tmp_path)
    folder = tmp_path / "test"
    for task in ("region", "image"):
        for mode in SYSTEMS["multi_grained"].modes[task]:
            flags = question_flags(folder, task, mode)
            file = Path(flags[flags.index("--data") + 1])
            assert len(file.read_text().splitlines()) >= 2
            assert (flags[-1] == "--blank-image") == (mode == BLANK)
            assert ("none" in flags) == (mode == NONE)
            assert (file.name == f"{task}.jsonl") == (mode in (TRUE, NONE, BLANK))
    assert all(not json.loads(line)["regions"] for line in (folder / "image.plain.jsonl").read_text().splitlines())
