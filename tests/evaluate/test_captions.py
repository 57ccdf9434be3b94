"""The caption scores are the published definitions, over the whole corpus, and never stop an evaluation."""

import json
import math
import os
import subprocess
import urllib.request
from pathlib import Path

import pytest

from mgimm_plugin.evaluate import captions
from mgimm_plugin.evaluate.store import to_json

needs_java = pytest.mark.skipif(captions.unavailable_reason() is not None, reason=str(captions.unavailable_reason()))


def _leave_meteor_out(monkeypatch):
    """For tests of other scores: METEOR takes seconds to start."""
    monkeypatch.setattr(captions, "meteor", lambda hypotheses, references: (0.0, [0.0] * len(hypotheses)))


@needs_java
def test_bleu_equals_the_formula_over_the_whole_corpus(monkeypatch):
    _leave_meteor_out(monkeypatch)
    predictions = ["a red ship in the harbour", "two white planes"]
    references = [["a red ship near the harbour", "a ship in the harbour"], ["two white planes on the apron"]]
    # Clipped n-gram matches / n-grams of both predictions together:
    #   1-grams: (a red ship in the harbour: 6 of 6) + (two white planes: 3 of 3)                     = 9 / 9
    #   2-grams: (a red, red ship, ship in, in the, the harbour: 5 of 5) + (two white, white planes)  = 7 / 7
    #   3-grams: (a red ship, ship in the, in the harbour; not red ship in: 3 of 4) + (1 of 1)        = 4 / 5
    #   4-grams: (ship in the harbour; not a red ship in, red ship in the: 1 of 3) + (0 of 0)         = 1 / 3
    # Lengths: 6 + 3 = 9 words; the closest references have 6 (against 5) and 6 words: 12.
    precisions = [9 / 9, 7 / 7, 4 / 5, 1 / 3]
    brevity = math.exp(1 - 12 / 9)
    scores = captions.score_captions(predictions, references).corpus
    for order in range(1, 5):
        expected = brevity * math.prod(precisions[:order]) ** (1 / order)
        assert scores[f"BLEU-{order}"] == pytest.approx(expected, rel=1e-6)


@pytest.fixture(scope="module")
def scores():
    """One corpus for many tests: METEOR takes seconds to start."""
    reason = captions.unavailable_reason()
    if reason is not None:
        pytest.skip(reason)
    items = {
        "identical": ("A small red ship lies at the top left.", ["A small red ship lies at the top left."]),
        "identical, odd whitespace": ("a red\nship\u2028here", ["a red ship here"]),
        "accents and dots": ("a café ...", ["a café"]),
        "best of two": ("a white plane", ["some vessel", "a white plane"]),
        "separator": ("two ||| grey tanks", ["two grey tanks"]),
        "empty": ("", ["a bridge"]),
        "blank": ("  \n ", ["a bridge"]),
        "no word in common": ("an airport", ["five storage tanks"]),
    }
    result = captions.score_captions([text for text, _ in items.values()], [texts for _, texts in items.values()])
    return {name: {key: values[i] for key, values in result.per_item.items()} for i, name in enumerate(items)}


@pytest.mark.parametrize("item", ["identical", "identical, odd whitespace", "accents and dots", "best of two"])
def test_a_text_equal_to_a_reference_scores_the_maximum(scores, item):
    assert scores[item]["BLEU-1"] == pytest.approx(1.0, abs=1e-6)
    assert scores[item]["METEOR"] == pytest.approx(1.0, abs=1e-6)
    assert scores[item]["ROUGE-L"] == pytest.approx(1.0, abs=1e-6)


def test_cider_of_an_identical_text_is_ten(scores):
    assert scores["identical"]["CIDEr"] == pytest.approx(10.0, abs=1e-6)


@pytest.mark.parametrize("item", ["empty", "blank", "no word in common"])
def test_empty_predictions_score_zero_and_stop_nothing(scores, item):
    for name in ("BLEU-1", "METEOR", "ROUGE-L", "CIDEr"):
        assert scores[item][name] == pytest.approx(0, abs=1e-6)


def test_meteors_field_separator_in_a_text_is_only_punctuation(scores):
    assert scores["separator"]["METEOR"] > 0.3


@needs_java
def test_cider_weighs_words_over_the_full_set_and_is_zero_for_one_item(monkeypatch):
    _leave_meteor_out(monkeypatch)
    texts = ["a red ship", "a white plane", "a grey tank"]
    assert captions.score_captions(texts[:1], [texts[:1]]).corpus["CIDEr"] == 0
    items = captions.score_captions(["a red ship", "a", "a"], [[text] for text in texts]).per_item["CIDEr"]
    assert items[0] > 0
    assert items[1] == items[2] == 0, "a word of every item carries no weight"


@needs_java
def test_tokens_and_meteor_agree_with_pycocoevalcaps_own_wrappers():
    from pycocoevalcap.meteor.meteor import Meteor
    from pycocoevalcap.tokenizer.ptbtokenizer import PTBTokenizer

    texts = ["A red-hot tank (big), isn't it?", "Two planes; the 2nd one's grey.", "Nothing."]
    theirs = PTBTokenizer().tokenize({index: [{"caption": text}] for index, text in enumerate(texts)})
    ours = captions.tokenize(texts)
    assert ours == [theirs[index][0] for index in range(len(texts))]

    hypotheses, references = ["a big tank", "two grey planes", "nothing"], [[text] for text in ours]
    corpus, items = Meteor().compute_score(dict(enumerate(references)), {i: [t] for i, t in enumerate(hypotheses)})
    assert captions.meteor(hypotheses, references) == (pytest.approx(corpus), pytest.approx(items))


@needs_java
def test_no_process_no_file_and_no_download_is_left_behind(monkeypatch):
    def no_network(*args, **kwargs):
        raise AssertionError("nothing may be downloaded")

    monkeypatch.setattr(urllib.request, "urlretrieve", no_network)
    folder = captions._package_folder()
    before = {path for path in folder.rglob("*") if "__pycache__" not in path.parts}
    children = _java_children()
    scores = captions.score_captions(["", ""], [["a ship"], ["a plane"]])
    if captions.spice_unavailable_reason() is not None:
        assert scores.corpus["SPICE"] is None
        assert "stanford-corenlp-3.6.0" in scores.reasons["SPICE"]
    assert scores.corpus["METEOR"] == 0
    assert {path for path in folder.rglob("*") if "__pycache__" not in path.parts} == before
    assert _java_children() == children


def _java_children() -> set[str]:
    found = set()
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            name, rest = stat.read_text().rsplit(")", 1)
        except OSError:
            continue
        if "java" in name and rest.split()[1] == str(os.getpid()):
            found.add(stat.parent.name)
    return found


def test_without_java_every_score_is_none_with_the_reason(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    scores = captions.score_captions(["a ship"], [["a ship"]])
    assert set(scores.corpus) == set(captions.CAPTION_METRICS)
    assert all(value is None for value in scores.corpus.values())
    assert "java" in scores.reasons["BLEU-1"] or "pycocoevalcap" in scores.reasons["BLEU-1"]


@needs_java
def test_a_java_that_does_not_run_is_a_reason_too(monkeypatch, tmp_path):
    stub = tmp_path / "java"
    stub.write_text("#!/bin/sh\necho 'Unable to locate a Java Runtime.' >&2\nexit 1\n")
    stub.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/bin:/usr/bin")
    scores = captions.score_captions(["a ship"], [["a ship"]])
    assert "Unable to locate a Java Runtime." in scores.reasons["METEOR"]


class FakeSpice:
    """Gives what the Java program does, whose models cannot be had here."""

    def __init__(self, *values):
        self.values = values

    def compute_score(self, truth, answers):
        if any(isinstance(value, Exception) for value in self.values):
            raise self.values[0]
        return float("nan"), [{"All": {"f": value}} for value in self.values]


@pytest.mark.parametrize(
    ("values", "corpus", "reason"),
    [
        ((0.5, float("nan")), 0.5, None),
        ((float("nan"), float("nan")), None, "no item a score"),
        ((json.JSONDecodeError("Expecting value", "", 0),), None, "cannot be read"),
        ((KeyError(1),), None, "cannot be read"),
    ],
)
def test_spice_without_a_score_of_an_answer_or_of_all_stops_no_evaluation(monkeypatch, values, corpus, reason):
    pytest.importorskip("pycocoevalcap")
    _leave_meteor_out(monkeypatch)
    monkeypatch.setattr("pycocoevalcap.spice.spice.Spice", lambda: FakeSpice(*values))
    monkeypatch.setattr(captions, "spice_unavailable_reason", lambda: None)
    scores = captions._score_tokens(["a ship", "a plane"], [["a ship"], ["a plane"]])
    assert json.loads(to_json(scores.corpus))["SPICE"] == corpus
    assert (reason is None and scores.per_item["SPICE"] == [0.5, 0.0]) or reason in scores.reasons["SPICE"]


def test_items_and_references_must_match():
    with pytest.raises(ValueError, match="2 predictions for 1"):
        captions.score_captions(["a", "b"], [["a"]])
    with pytest.raises(ValueError, match="item 1 has no reference"):
        captions.score_captions(["a", "b"], [["a"], []])


@needs_java
def test_meteor_says_so_when_its_program_ends_early(monkeypatch, tmp_path):
    stub = tmp_path / "java"
    stub.write_text("#!/bin/sh\nexit 0\n")
    stub.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/bin:/usr/bin")
    with pytest.raises((RuntimeError, subprocess.SubprocessError), match="ended early"):
        captions.meteor(["a"], [["a"]])
