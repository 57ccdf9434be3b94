"""DIOR-RSVG, alone and joined with DIOR-IDD: every object and every description arrives, in the part it belongs to."""

import json
import os
from collections import Counter
from pathlib import Path

import pytest

from mgimm_plugin.commands.prepare import prepare
from mgimm_plugin.errors import MgimmError
from tests.data.prepare.fake_dior import (
    DESCRIPTION_SPLITS,
    DESCRIPTIONS,
    FILES,
    OBJECTS,
    SPLITS,
    write_dior_idd,
    write_dior_rsvg,
)
from tests.data.prepare.samples import read
from tests.data.prepare.samples_of_boxes import voc_xml

REAL = Path(os.environ.get("MGIMM_REAL_DATA", Path(__file__).resolve().parents[4] / "shared" / "data")) / "dior_rsvg"


def lines(path):
    with path.open(encoding="utf-8") as file:
        return sum(1 for _ in file)


def records(path):
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def number_of(record):
    """What the fake's sentences end in: the global number of the object."""
    return int(record["conversations"][1]["value"].rsplit(" ", 1)[1])


def small(folder, **counts):
    write_dior_rsvg(folder, **{"files": 40, "objects": 90, "images": 55, **counts})
    return folder


def parts_of(folder):
    return {
        int(line): part for part in SPLITS for line in (folder / f"{part}.txt").read_text().split()
    }  # fmt: skip


def official_numbers(output):
    """The part in which each object was found, by its number."""
    return {
        number_of(record): path.parent.name
        for path in (output / "official").glob("*/region.jsonl")
        for record in records(path)
    }


@pytest.fixture(scope="module")
def full(tmp_path_factory):
    """The full fake dataset, with the official split files where they are at hand, joined with the fake DIOR-IDD."""
    folder = tmp_path_factory.mktemp("dior")
    write_dior_rsvg(folder / "DIOR_RSVG", splits=REAL if REAL.is_dir() else None)
    write_dior_idd(folder / "DIOR_IDD")
    joins = [f"mgimm={folder}/DIOR_IDD/dior-gpg-{part}.json" for part in SPLITS]
    prepare("dior-rsvg", [folder / "DIOR_RSVG"], folder / "out", joins=joins, progress=False)
    return folder


@pytest.mark.slow
def test_the_full_dataset_gives_the_official_numbers_of_region_records(full):
    output = full / "out"
    assert {part: lines(output / "official" / part / "region.jsonl") for part in SPLITS} == SPLITS
    assert sum(lines(output / "image-disjoint" / part / "region.jsonl") for part in SPLITS) == OBJECTS
    numbers = official_numbers(output)
    assert numbers == parts_of(full / "DIOR_RSVG")
    assert len(numbers) == OBJECTS


@pytest.mark.slow
def test_the_full_join_accounts_for_every_pair(full):
    output = full / "out"
    assert {part: lines(output / "official" / part / "image.jsonl") for part in SPLITS} == DESCRIPTION_SPLITS
    card = json.loads((output / "dataset.json").read_text())
    assert card["read"] | {"objects": None} == {
        "images": DESCRIPTIONS, "objects": None, "captions": 0, "descriptions": DESCRIPTIONS, "dialogues": 0,
    }  # fmt: skip
    assert card["text"] == {"image.jsonl": {"source": DESCRIPTIONS}, "region.jsonl": {"source": OBJECTS}}
    assert (output / "dropped.ndjson").read_text() == ""
    guided = Counter()
    for part in SPLITS:
        for record in records(output / "image-disjoint" / part / "image.jsonl"):
            assert record["conversations"][0]["value"].count("<region>") == len(record.get("regions", ()))
            guided[bool(record.get("regions"))] += 1
    assert guided == {True: FILES, False: DESCRIPTIONS - FILES}


@pytest.mark.slow
def test_no_image_is_in_two_parts_of_the_image_disjoint_split(full):
    images = {
        part: {
            record["image"]
            for name in ("region.jsonl", "image.jsonl")
            for record in records(full / "out" / "image-disjoint" / part / name)
        }
        for part in SPLITS
    }
    assert sum(map(len, images.values())) == len(set().union(*images.values())) == DESCRIPTIONS
    assert len(images["train"]) / DESCRIPTIONS == pytest.approx(0.7, abs=0.01)
    assert len(images["test"]) / DESCRIPTIONS == pytest.approx(0.2, abs=0.01)


def test_a_record_has_the_box_in_our_frame_and_says_where_it_comes_from(tmp_path):
    source = small(tmp_path / "in", files=1, objects=1, images=1)
    xml = (source / "Annotations" / "00001.xml").read_text()
    box = [int(xml.split(f"<{edge}>")[1].split("<")[0]) for edge in ("xmin", "ymin", "xmax", "ymax")]
    prepare("dior-rsvg", [source], tmp_path / "out", progress=False)
    (path,) = tmp_path.glob("out/official/*/region.jsonl")
    (record,) = records(path)
    (region,) = record["regions"]
    assert region["bbox"] == [box[0] - 1, box[1] - 1, box[2], box[3]]
    assert region["phrase"] == record["conversations"][1]["value"]
    assert (record["id"], record["source"], record["source_id"], record["text"]) == (
        "00001-0", "dior-rsvg", "00001-0", "source",
    )  # fmt: skip
    assert (record["image"], record["width"], record["height"]) == ("00001.jpg", 800, 800)


@pytest.mark.parametrize("place", ["in it", "beside it", "given by name"])
def test_split_files_are_found(tmp_path, place):
    source = small(tmp_path / "in")
    inputs = [source] if place == "in it" else [source / "Annotations"]
    if place == "given by name":
        (tmp_path / "splits").mkdir()
        inputs += [(source / f"{part}.txt").rename(tmp_path / "splits" / f"{part}.txt") for part in SPLITS]
    prepare("dior-rsvg", inputs, tmp_path / "out", progress=False)
    assert len(official_numbers(tmp_path / "out")) == 90


def test_without_split_files_there_is_the_image_disjoint_split_alone(tmp_path):
    source = small(tmp_path / "in")
    for part in SPLITS:
        (source / f"{part}.txt").unlink()
    prepare("dior-rsvg", [source], tmp_path / "out", progress=False)
    assert sorted(path.name for path in (tmp_path / "out").iterdir() if path.is_dir()) == ["test", "train", "val"]


def broken(source, *places, cut=0.4):
    """Truncate XML files, by their place; returns their names."""
    paths = sorted((source / "Annotations").iterdir())
    for place in places:
        text = paths[place].read_text()
        paths[place].write_text(text[: int(len(text) * cut)])
    return [paths[place].name for place in places]


def test_a_broken_file_costs_its_own_objects_and_shifts_no_number(tmp_path):
    source = small(tmp_path / "in")
    (name,) = broken(source, 12, cut=0.2)  # before the end of the first object: the file does not say how many it had
    prepare("dior-rsvg", [source], tmp_path / "out", progress=False)
    found, right = official_numbers(tmp_path / "out"), parts_of(source)
    assert 80 <= len(found) < 90
    assert all(right[number] == part for number, part in found.items())
    (dropped,) = records(tmp_path / "out" / "dropped.ndjson")
    assert dropped["file"].endswith(name)
    assert "XML" in dropped["reason"]


def test_between_two_broken_files_no_number_is_guessed(tmp_path):
    source = small(tmp_path / "in")
    broken(source, 12, 20, cut=0.2)
    prepare("dior-rsvg", [source], tmp_path / "out", progress=False)
    found, right = official_numbers(tmp_path / "out"), parts_of(source)
    unassigned = {number for number, part in found.items() if part == "unassigned"}
    assert unassigned
    assert all(right[number] == part for number, part in found.items() if number not in unassigned)
    notes = " ".join(json.loads((tmp_path / "out" / "dataset.json").read_text())["notes"])
    assert f"{len(unassigned)} objects between them" in notes
    assert f"{len(unassigned)} objects between them" in (tmp_path / "out" / "report.md").read_text()


def test_a_broken_file_that_opens_all_its_objects_leaves_the_numbers_alone(tmp_path):
    source = small(tmp_path / "in")
    broken(source, 3, 30, cut=0.999)
    prepare("dior-rsvg", [source], tmp_path / "out", progress=False)
    found, right = official_numbers(tmp_path / "out"), parts_of(source)
    assert all(right[number] == part for number, part in found.items())
    assert "unassigned" not in found.values()


def test_hidden_copies_of_annotations_shift_no_number(tmp_path):
    source = small(tmp_path / "in")
    (source / "Annotations" / "._00001.xml").write_bytes(b"\0\5\x16\7 <object> Mac OS X")
    prepare("dior-rsvg", [source], tmp_path / "out", progress=False)
    assert official_numbers(tmp_path / "out") == parts_of(source)
    assert not (tmp_path / "out" / "dropped.ndjson").read_text()


def test_part_of_the_dataset_has_no_official_split(tmp_path):
    source = small(tmp_path / "in")
    sorted((source / "Annotations").iterdir())[5].unlink()
    prepare("dior-rsvg", [source], tmp_path / "out", progress=False)
    card = json.loads((tmp_path / "out" / "dataset.json").read_text())
    assert list(card["splits"]) == ["image-disjoint"]
    assert any("no official split" in note for note in card["notes"])


def test_an_object_without_a_good_box_keeps_its_number(tmp_path):
    source = small(tmp_path / "in")
    path = sorted((source / "Annotations").iterdir())[7]
    path.write_text(path.read_text().replace("<xmin>", "<xmin>x", 1))
    prepare("dior-rsvg", [source], tmp_path / "out", progress=False)
    found, right = official_numbers(tmp_path / "out"), parts_of(source)
    assert len(found) == 89
    assert all(right[number] == part for number, part in found.items())
    (dropped,) = records(tmp_path / "out" / "dropped.ndjson")
    assert (dropped["record"], dropped["field"]) == (f"{path.stem}-0", "bndbox")


def test_a_bad_size_costs_the_size_and_tokens_in_a_description_are_words(tmp_path):
    description = "<description>The &lt;region> of &lt;image></description>"
    content = voc_xml("1.jpg", ("ship", (11, 6, 30, 20), description), size="x 40")
    ((image,), losses) = read("dior-rsvg", tmp_path, {"labels/Annotations/1.xml": content})
    assert [(item.bbox, item.phrase) for item in image.objects] == [((10, 5, 30, 20), "The region of image")]
    assert image.width is None
    assert [(error.file.name, error.field) for error in losses.dropped] == [("1.xml", "width")]


def test_bad_lines_of_a_split_file_are_accounted_for(tmp_path):
    source = small(tmp_path / "in")
    numbers = (source / "val.txt").read_text().split()
    taken = (source / "train.txt").read_text().split()[0]
    (source / "val.txt").write_text("\n".join(["x", taken, *numbers[2:]]))
    prepare("dior-rsvg", [source], tmp_path / "out", progress=False)
    reasons = [entry["reason"] for entry in records(tmp_path / "out" / "dropped.ndjson")]
    assert reasons == ["'x' is not the number of an object", f"object {taken} is in train already"]
    found = official_numbers(tmp_path / "out")
    assert Counter(found.values())["unassigned"] == 2


def test_a_folder_without_annotations_is_an_error_that_says_so(tmp_path):
    (tmp_path / "in").mkdir()
    with pytest.raises(MgimmError, match="no XML file, and no folder Annotations"):
        prepare("dior-rsvg", [tmp_path / "in"], tmp_path / "out", progress=False)
    assert not (tmp_path / "out").exists()


@pytest.mark.skipif(
    not REAL.is_dir(), reason="no real samples ($MGIMM_REAL_DATA, or ../shared/data beside the checkout)"
)
def test_the_genuine_file(tmp_path):
    prepare("dior-rsvg", [REAL / "Annotations" / "00001.xml"], tmp_path / "out", progress=False)
    (path,) = tmp_path.glob("out/*/region.jsonl")
    (record,) = records(path)
    assert record["regions"][0]["bbox"] == [132, 236, 684, 672]
    assert record["regions"][0]["attributes"] == {"category": "golf field"}
    assert record["conversations"][1]["value"] == "A green and brown golf field"
