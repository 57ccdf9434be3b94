import json

import pytest

from mgimm_plugin.errors import MgimmError
from mgimm_plugin.evaluate.store import PredictionStore
from scripts.study.outcomes import Truth, by_group, by_image, read_rows
from scripts.study.results import Results, judge
from scripts.study.tables import (
    EXPLORATORY,
    PLANNED,
    between_markers,
    comparisons_table,
    markers,
    rows_table,
    shifted_table,
    write_results,
)

IMAGES = [f"images/{index}.jpg" for index in range(40)]

BEGIN, END = markers(PLANNED)


def evaluation(task, mode, values, style="standard"):
    outcomes = {name: {image: value + at * 1e-3 for at, image in enumerate(IMAGES)} for name, value in values.items()}
    groups = {name: {"small": value} for name, value in values.items()}
    return {"set": "test", "style": style, "task": task, "mode": mode, "outcomes": outcomes, "groups": groups}


def result(system, seed, ahead=0.0, has_cider=True):
    cider = {"CIDEr": 1 + ahead} if has_cider else {}
    image = {**cider, "hallucination_rate": 0.1, "object_recall": 0.9}
    asked = [evaluation("region", "true", {"appearance_accuracy": 0.8 + ahead})]
    asked += [evaluation("image", mode, image) for mode in ("true", "none")]
    asked.append(evaluation("image", "true", image, style="winter"))
    stage = {"trained_parameters": 1234, "examples": 50, "flops": 2e15, "seconds": 3.0, "is_resumed": False}
    head = {"system": system, "seed": seed, "rate_factor": 1.0, "commits": ["abc123"]}
    bases = {"llm": "l", "tower": "t"}
    stages = {"region": {**stage, "commit": "abc123"}, "image": {**stage, "commit": "abc123"}}
    return {**head, **bases, "stages": stages, "evaluations": asked}


@pytest.fixture
def folder(tmp_path):
    folder = tmp_path / "results"
    folder.mkdir()
    for seed in range(3):
        for system, ahead in (("multi_grained", 0.1), ("global", 0.05 * seed), ("roi_align", 0.0)):
            values = result(system, seed, ahead=ahead + 0.001 * seed)
            (folder / f"{system}-seed{seed}.json").write_text(json.dumps(values))
    return folder


def test_tests_follow_the_plan_and_missing_ones_count_in_the_family(folder):
    judged = {}
    for each in judge(Results.read(folder)):
        pair = each.comparison
        judged[pair.first, pair.second, pair.first_mode, each.outcome] = each
    clear = judged["multi_grained", "roi_align", "true", "appearance_accuracy"]
    assert clear.difference.mean == pytest.approx(0.1)
    assert clear.adjusted == pytest.approx(10 * clear.difference.p)
    assert clear.verdict == "shown"
    wavering = judged["multi_grained", "global", "none", "CIDEr"]
    assert wavering.difference.by_seed == pytest.approx((0.1, 0.05, 0.0))
    assert wavering.verdict == "not shown"
    assert judged["multi_grained", "roi_align", "true", "hallucination_rate"].verdict == "not shown"
    missing = judged["multi_grained", "one_stage", "true", "CIDEr"]
    assert (missing.difference, missing.adjusted, missing.verdict) == (None, None, "not computed")


def test_a_row_has_scores_seeds_and_costs(folder):
    lines = rows_table(Results.read(folder)).splitlines()
    row = next(line for line in lines if line.startswith("| MGIMM, multi-grained |"))
    assert "| true | 3 |" in row
    assert " 1.121 ± 0.001 " in row
    assert row.endswith("| 1,234 | 100 | 4 |")


def test_what_was_not_run_is_said_and_not_made_up(folder):
    table = comparisons_table(Results.read(folder))
    lines = [line for line in table.splitlines() if "one stage (true)" in line]
    assert lines
    assert all("not computed" in line for line in lines)
    assert "image only (none)" not in table
    assert "Not run, and not compared: image only" in table
    assert "our RIM" not in table, "it is judged on fresh scenes, and has no place here"


def test_a_page_without_comparisons_has_no_heading_of_them(tmp_path):
    folder = tmp_path / "results"
    folder.mkdir()
    (folder / "a.json").write_text(json.dumps(result("rim_tokens_1", 0)))
    assert comparisons_table(Results.read(folder)) == ""
    write_results(folder, tmp_path / "page.md", scale="small")
    assert "### Comparisons" not in (tmp_path / "page.md").read_text()


def test_two_seeds_show_nothing(folder):
    for file in folder.glob("*-seed2.json"):
        file.unlink()
    verdicts = {each.outcome: each.verdict for each in judge(Results.read(folder)) if each.comparison.primary}
    assert verdicts["appearance_accuracy"] == "too few seeds"


def test_results_go_between_the_markers_and_the_plan_stays(folder, tmp_path):
    page = tmp_path / "docs" / "benchmark.md"
    page.parent.mkdir()
    page.write_text(f"# Plan\n\nQuestion.\n\n{BEGIN}\nold\n{END}\n\nAfter.\n")
    write_results(folder, page, scale="full")
    text = page.read_text()
    assert text.startswith("# Plan\n\nQuestion.\n")
    assert text.endswith(f"{END}\n\nAfter.\n")
    assert "old" not in text
    assert "winter" in text
    assert "abc123" in text
    assert "proves nothing" not in text
    for name in ("differences", "modes"):
        assert f"images/benchmark-full-{name}.png" in text
        assert (page.parent / "images" / f"benchmark-full-{name}.png").stat().st_size > 1000
    write_results(folder, page, scale="full")
    assert page.read_text() == text


def test_exploratory_results_have_a_place_of_their_own(tmp_path):
    folder, page = tmp_path / "results", tmp_path / "page.md"
    folder.mkdir()
    for name in ("multi_grained", "interactive_roi_biased"):
        (folder / f"{name}.json").write_text(json.dumps(result(name, 0)))
    begin, end = markers(EXPLORATORY)
    page.write_text(f"{BEGIN}\nplanned\n{END}\n\n{begin}\nold\n{end}\n")
    write_results(folder, page, scale="medium", is_exploratory=True)
    planned, tried = page.read_text().split(END)
    assert planned == f"{BEGIN}\nplanned\n"
    assert "Exploratory" in tried
    names = {path.name for path in (tmp_path / "images").iterdir()}
    assert names == {"page-medium-fresh-differences.png", "page-medium-fresh-modes.png"}


def test_a_new_page_takes_exploratory_results_after_those_of_the_plan_and_before_them(folder, tmp_path):
    for name, order in (("a.md", (False, True)), ("b.md", (True, False))):
        for is_exploratory in order:
            write_results(folder, tmp_path / name, scale="medium", is_exploratory=is_exploratory)
        planned, tried = (tmp_path / name).read_text().split(END)
        assert "not shown" in planned
        assert "**Exploratory**" not in planned
        assert "**Exploratory**" in tried


def test_one_row_alone_has_no_picture(tmp_path):
    (tmp_path / "results").mkdir()
    (tmp_path / "results" / "a.json").write_text(json.dumps(result("multi_grained", 0)))
    write_results(tmp_path / "results", tmp_path / "page.md", scale="small")
    assert "![" not in (tmp_path / "page.md").read_text()


def test_what_is_exploratory_has_differences_and_no_tests(folder):
    judged = judge(Results.read(folder, is_exploratory=True))
    pairs = {(each.comparison.first, each.comparison.second) for each in judged}
    assert pairs == {("multi_grained", "global"), ("multi_grained", "roi_align")}
    assert {each.adjusted for each in judged} == {None}
    assert {each.verdict for each in judged} == {"exploratory"}


def test_shifted_scenes_are_set_against_standard_ones_of_the_same_seeds(folder):
    file = folder / "global-seed2.json"
    values = json.loads(file.read_text())
    values["evaluations"] = [asked for asked in values["evaluations"] if asked["style"] == "standard"]
    file.write_text(json.dumps(values))
    table = shifted_table(Results.read(folder))
    assert "| CIDEr | shown | seeds | standard | winter |" in table
    assert "| MGIMM, multi-grained | true | 3 | 1.121 ± 0.001 | 1.121 ± 0.001 |" in table
    assert "| MGIMM, global | true | 2 | 1.045 ± 0.036 | 1.045 ± 0.036 |" in table
    assert "none" not in table


def test_rim_and_lora_rows_are_set_against_mgimm_of_the_same_seeds(folder):
    for name, seed in (("lora_r4_alpha64", 0), ("lora_r4_alpha64", 1), ("lora_r8_alpha128", 1)):
        (folder / f"{name}-seed{seed}.json").write_text(json.dumps(result(name, seed, ahead=0.01 * seed)))
    matched = Results.read(folder).matched("lora")
    assert [(file["system"], file["seed"]) for file in matched.files] == [
        ("multi_grained", 1),
        ("lora_r4_alpha64", 1),
        ("lora_r8_alpha128", 1),
    ]
    write_results(folder, folder / "page.md", scale="small")
    text = (folder / "page.md").read_text()
    section = text[text.index("### LoRA") : text.index("### Runs")]
    assert "| LoRA r = 4, alpha = 64 | true | 1 |" in section
    assert "global" not in section
    assert "page-small-lora.png" in text


def test_small_and_exploratory_runs_are_marked_and_missing_scores_named(tmp_path):
    folder = tmp_path / "results"
    folder.mkdir()
    (folder / "a.json").write_text(json.dumps(result("multi_grained", 0, has_cider=False)))
    write_results(folder, tmp_path / "page.md", scale="small", is_exploratory=True)
    text = (tmp_path / "page.md").read_text()
    assert "Exploratory" in text
    assert "proves nothing" in text
    assert "Not computed: CIDEr" in text


@pytest.mark.parametrize("text", ["no markers", f"{END} {BEGIN}", f"{BEGIN}{BEGIN}{END}"])
def test_a_page_without_one_place_for_results_is_an_error(text, tmp_path):
    with pytest.raises(MgimmError, match="in this order"):
        between_markers(text, "new", tmp_path / "page.md", PLANNED)


def test_no_results_are_an_error(tmp_path):
    with pytest.raises(MgimmError, match="no result files"):
        Results.read(tmp_path)


@pytest.mark.parametrize("separator", ["\u2028", "\x85"])
def test_an_answer_with_a_separator_of_lines_stays_one_answer(separator, tmp_path):
    row = {"index": 0, "prediction": f"a ship{separator}a bridge", "scores": {}}
    PredictionStore(tmp_path, {}, {}).append([row])
    assert read_rows(tmp_path) == [row]


def truth_of(file, scenes):
    """What the file with the true boxes says is there, from names and categories."""
    records = [
        {
            "id": name,
            "image": f"{name}.png",
            "width": 100,
            "height": 100,
            "regions": [{"bbox": [0, 0, 9, 9], "category": category} for category in categories],
            "conversations": [{"from": "human", "value": "<image>\nDescribe it."}, {"from": "gpt", "value": "A port."}],
        }
        for name, categories in scenes.items()
    ]
    file.write_text("".join(json.dumps(record) + "\n" for record in records))
    return Truth.read(file)


def test_categories_named_count_once_and_those_that_the_scene_lacks_are_hallucinated(tmp_path):
    """Whatever of the scene an answer was shown: what is there is what the file with the true boxes has."""
    truth = truth_of(tmp_path / "image.jsonl", {"a": ("ship", "storage tank", "bridge"), "b": ("airplane",)})
    text = "An aerial view of a port. There are two ships and a ship. A small red storage tank and an airplane."
    rows = [
        {"id": "a", "image": "a.png", "prediction": text, "regions": [], "objects": {"named": ["not", "to be used"]}},
        {"id": "b", "image": "b.png", "prediction": "", "regions": [{}, {}]},
    ]
    assert by_image("image", rows, truth) == {
        "hallucination_rate": {"a.png": pytest.approx(1 / 3), "b.png": 0.0},
        "object_precision": {"a.png": pytest.approx(2 / 3), "b.png": 0.0},
        "object_recall": {"a.png": pytest.approx(2 / 3), "b.png": 0.0},
    }


def test_region_answers_are_averaged_over_an_image_and_grouped_by_size_and_density(tmp_path):
    rows = [
        {"image": "a.png", "correct": {"category": True, "color": right, "size": False}, "regions": [region]}
        for right, region in ((True, {"attributes": {"size": "small"}}), (False, {"attributes": {"size": "large"}}))
    ]
    truth = truth_of(tmp_path / "image.jsonl", {"a": ("ship",) * 7})
    values = by_image("region", rows, truth)
    assert values["appearance_accuracy"] == {"a.png": pytest.approx(0.75)}
    assert values["color_accuracy"] == {"a.png": 0.5}
    assert "CIDEr" not in values
    groups = by_group("region", rows, truth)["appearance_accuracy"]
    assert groups == pytest.approx({"6 to 8": 0.75, "small": 1.0, "large": 0.5})
