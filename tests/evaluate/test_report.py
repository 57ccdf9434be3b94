"""The report is one file that shows what was asked, what was said and what is true, and trusts no text."""

import json
import re
from html.parser import HTMLParser

import pytest

from mgimm_plugin.errors import MgimmError
from mgimm_plugin.evaluate import Run, captions, evaluate, write_report
from tests.evaluate.evaluation_set import Answerer, image_record, region_record


@pytest.fixture(autouse=True)
def _fast_captions(monkeypatch):
    monkeypatch.setattr(captions, "unavailable_reason", lambda: "no java here")


@pytest.fixture
def finished(image_folder, region_data, tmp_path):
    """A tuned and a blank run over the same data."""
    runs = []
    for name, blank in (("tuned", False), ("blank image", True)):
        output = tmp_path / name
        evaluate(Answerer(), region_data, image_folder, output, blank_image=blank, progress=False)
        runs.append(Run(name, output))
    return runs


class _Checker(HTMLParser):
    void = ("meta", "image", "use", "rect", "br", "link")

    def __init__(self):
        super().__init__()
        self.open, self.links = [], []

    def handle_starttag(self, tag, attrs):
        self.links += [value for key, value in attrs if key in ("src", "href") and value]
        if tag not in self.void:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.links += [value for key, value in attrs if key in ("src", "href") and value]

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def page_of(runs, tmp_path, **options):
    path = tmp_path / "page.html"
    write_report(path, runs, **options)
    return path.read_text()


def test_the_page_is_whole_and_needs_no_other_file(finished, tmp_path):
    page = page_of(finished, tmp_path)
    checker = _Checker()
    checker.feed(page)
    assert checker.open == []
    assert checker.links
    assert all(link.startswith(("data:image/jpeg", "#")) for link in checker.links)
    assert "<script" not in page


def test_runs_over_the_same_data_stand_side_by_side(finished, tmp_path):
    page = page_of(finished, tmp_path)
    assert page.count("<section>") == 1
    assert page.count("A small gray ship at the top left.") == 5
    assert page.count('class="card"') == 5
    assert "✓ color: red" in page
    assert "✗ color: red" in page


def test_runs_over_other_data_get_their_own_part(finished, image_folder, write_data, tmp_path):
    data = write_data([image_record(0, "red")], "other.jsonl")
    evaluate(Answerer(), data, image_folder, tmp_path / "image", progress=False)
    page = page_of([*finished, Run("image", tmp_path / "image")], tmp_path)
    assert page.count("<section>") == 2
    assert "other.jsonl" in page


def test_data_are_the_same_by_content_and_not_by_name(finished, image_folder, write_data, tmp_path):
    first = (tmp_path / "data.jsonl").read_text()
    (tmp_path / "copy.jsonl").write_text(first)
    evaluate(Answerer(), tmp_path / "copy.jsonl", image_folder, tmp_path / "copied", progress=False)
    assert page_of([*finished, Run("copied", tmp_path / "copied")], tmp_path).count("<section>") == 1
    data = write_data([region_record(0, "white")])  # the file of the finished runs, with other records
    evaluate(Answerer(), data, image_folder, tmp_path / "changed", progress=False)
    page = page_of([*finished, Run("changed", tmp_path / "changed")], tmp_path)
    assert page.count("<section>") == page.count("<h2>data.jsonl</h2>") == 2
    assert len({*re.findall(r"SHA-256 \w{12}", page)}) == 2


def test_boxes_are_drawn_where_they_are_and_numbered(image_folder, write_data, tmp_path):
    evaluate(Answerer(), write_data([image_record(0, "red")]), image_folder, tmp_path / "image", progress=False)
    page = page_of([Run("image", tmp_path / "image")], tmp_path)
    assert 'viewBox="0 0 64 48"' in page
    drawn = re.findall(
        r'<rect x="([\d.]+)" y="([\d.]+)" width="([\d.]+)" height="([\d.]+)" fill="none" stroke="#e', page
    )
    assert [tuple(map(float, box)) for box in drawn] == [(4, 4, 26, 16)]
    assert re.findall(r"<text [^>]*>(\d)</text>", page) == ["1", "2"]


def test_texts_from_data_and_models_cannot_break_the_page(image_folder, write_data, tmp_path):
    record = region_record(0, "red")
    record["conversations"][1]["value"] = "<script>alert(1)</script>"
    evaluate(Answerer(), write_data([record]), image_folder, tmp_path / "out", progress=False)
    page = page_of([Run("<b>bold</b>", tmp_path / "out")], tmp_path)
    assert "<script>" not in page
    assert "<b>bold" not in page
    assert "&lt;script&gt;alert(1)" in page


def test_missing_scores_come_with_their_reason_and_lost_pictures_do_not_stop_it(finished, image_folder, tmp_path):
    (image_folder / "red.png").unlink()
    page = page_of(finished, tmp_path)
    assert "no java here" in page
    assert page.count("no picture") == 2


def test_a_folder_that_is_no_finished_evaluation_is_an_error(tmp_path):
    with pytest.raises(MgimmError, match="not a finished evaluation"):
        write_report(tmp_path / "page.html", [Run("run", tmp_path)])
    for name in ("metrics.json", "run.json"):
        (tmp_path / name).write_text("{}")
    with pytest.raises(MgimmError, match="does not say what data"):
        write_report(tmp_path / "page.html", [Run("run", tmp_path)])


def test_the_metrics_on_the_page_are_those_of_the_file(finished, tmp_path):
    metrics = json.loads((finished[0].folder / "metrics.json").read_text())
    assert f"<span>{metrics['geometry_accuracy']:.3f}</span>" in page_of(finished, tmp_path)


def test_pictures_are_shown_up_to_the_limit_of_the_evaluation(image_folder, region_data, tmp_path):
    options = {"progress": False, "model": "an/answerer"}
    evaluate(Answerer(), region_data, image_folder, tmp_path / "out", **options)
    page = tmp_path / "out" / "report.html"
    assert "no picture" not in page.read_text()
    # All predictions are there: only the report opens images.
    evaluate(Answerer(), region_data, image_folder, tmp_path / "out", max_pixels=64 * 48 - 1, **options)
    assert page.read_text().count("no picture") == 5
    write_report(page, [Run("out", tmp_path / "out")], max_pixels=64 * 48)
    assert "no picture" not in page.read_text()


@pytest.mark.parametrize("model", [".", "../tuned-model", "an/tuned-model"])
def test_the_model_is_named_however_it_was_given(image_folder, region_data, tmp_path, monkeypatch, model):
    (tmp_path / "tuned-model").mkdir()
    monkeypatch.chdir(tmp_path / "tuned-model")
    evaluate(Answerer(), region_data, image_folder, tmp_path / "out", model=model, progress=False)
    assert "tuned-model" in (tmp_path / "out" / "report.html").read_text()
