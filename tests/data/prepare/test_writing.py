"""The files of a conversion: the same bytes each time, nothing lost, an old set whole until the new one is."""

import json
import os
from pathlib import Path

import pytest

from mgimm_plugin.commands.prepare import prepare, read_classes
from mgimm_plugin.data.formats import format_of
from mgimm_plugin.data.prepare import converting
from mgimm_plugin.data.prepare.source import SourceFormat, source_formats
from mgimm_plugin.data.records import read_records
from mgimm_plugin.errors import MgimmError, RecordError
from tests.data.prepare.fake_dior import SPLITS, write_dior_idd, write_dior_rsvg
from tests.data.prepare.samples_of_boxes import voc_xml


@pytest.fixture
def source(tmp_path):
    write_dior_rsvg(tmp_path / "in" / "DIOR", files=20, objects=45, images=25)
    write_dior_idd(tmp_path / "in" / "IDD", files=20, images=25)
    bad = tmp_path / "in" / "DIOR" / "Annotations" / "00002.xml"
    bad.write_text(bad.read_text().replace("<xmax>", "<xmax>9999", 1).replace("<ymin>", "<ymin>nan", 1))
    return tmp_path / "in"


def convert(source, output, **settings):
    joins = [f"mgimm={source}/IDD/dior-gpg-{part}.json" for part in SPLITS]
    return prepare("dior-rsvg", [source / "DIOR"], output, joins=joins, progress=False, **settings)


def files(folder):
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def test_a_second_run_gives_the_same_bytes_wherever_it_runs(source, tmp_path, monkeypatch):
    convert(source, tmp_path / "one")
    first = files(tmp_path / "one")
    convert(source, tmp_path / "one")
    assert files(tmp_path / "one") == first
    monkeypatch.chdir(tmp_path)
    convert(Path("in"), Path("two"))
    assert files(tmp_path / "two") == first
    assert not any(str(tmp_path).encode() in data for data in first.values())


def test_another_seed_gives_other_questions_and_another_image_split(source, tmp_path):
    for seed in (0, 1):
        convert(source, tmp_path / str(seed), seed=seed)
    one, two = (files(tmp_path / str(seed)) for seed in (0, 1))
    assert one["official/train/region.jsonl"] != two["official/train/region.jsonl"]
    assert one["image-disjoint/train/region.jsonl"] != two["image-disjoint/train/region.jsonl"]


def test_any_source_can_be_split_by_image(tmp_path):
    for number in range(60):
        lines = [f"{number % 2} 0.3 0.4 0.2 0.2", "1 0.7 0.6 0.1 0.3"]
        (tmp_path / "labels").mkdir(exist_ok=True)
        (tmp_path / "labels" / f"{number:04}.txt").write_text("\n".join(lines))
    (tmp_path / "names.txt").write_text("ship\nplane\n")
    settings = {"classes": tmp_path / "names.txt", "image_size": "200x100", "progress": False}
    prepare("yolo", [tmp_path / "labels"], tmp_path / "out", split_by_image=True, **settings)
    images = {
        part: {record.image for record in read_records(tmp_path / "out" / part / "region.jsonl")} for part in SPLITS
    }
    assert sum(map(len, images.values())) == len(set().union(*images.values())) == 60
    assert len(images["train"]) > len(images["test"]) > len(images["val"]) > 0
    card = json.loads((tmp_path / "out" / "dataset.json").read_text())
    assert set(card["splits"]) == {"image-disjoint"}
    prepare("yolo", [tmp_path / "labels"], tmp_path / "whole", **settings)
    assert len(list(read_records(tmp_path / "whole" / "region.jsonl"))) == 120


def test_every_record_is_one_that_training_takes(source, tmp_path):
    convert(source, tmp_path / "out")
    card = json.loads((tmp_path / "out" / "dataset.json").read_text())
    for path, entry in card["files"].items():
        found = list(read_records(tmp_path / "out" / path))
        assert len(found) == entry["records"] == len({record.id for record in found})
        for record in found:
            format_of(record).check(record)
            assert f"{format_of(record).name.split('-')[0]}.jsonl" == Path(path).name


def test_every_jsonl_of_a_set_holds_records(source, tmp_path):
    convert(source, tmp_path / "out")
    assert {path.name for path in (tmp_path / "out").rglob("*.jsonl")} == {"region.jsonl", "image.jsonl"}


def test_the_card_and_the_report_account_for_everything(source, tmp_path):
    convert(source, tmp_path / "out")
    card = json.loads((tmp_path / "out" / "dataset.json").read_text())
    dropped = [json.loads(line) for line in (tmp_path / "out" / "dropped.ndjson").read_text().splitlines()]
    report = (tmp_path / "out" / "report.md").read_text()
    assert [(entry["file"], entry["record"], entry["field"]) for entry in dropped] == [
        ("DIOR/Annotations/00002.xml", "00002-0", "bndbox")
    ]
    assert sum(card["dropped"].values()) == len(dropped)
    assert dropped[0]["reason"] in report
    assert card["text"]["region.jsonl"]["source"] == 44
    assert card["text"]["image.jsonl"]["source"] == 25
    assert card["inputs"] == [{"name": "DIOR", "files": 23, "bytes": card["inputs"][0]["bytes"]}]
    assert [entry["name"] for entry in card["joined"]["mgimm"]] == [f"dior-gpg-{part}.json" for part in SPLITS]
    assert all(len(entry["sha256"]) == 64 for entry in card["joined"]["mgimm"])
    assert set(card["splits"]) == {"official", "image-disjoint"}
    assert card["citation"]
    assert any("inferred" in note for note in card["notes"])
    for path, entry in card["files"].items():
        assert f"| {path} | {entry['records']} |" in report


def test_an_interrupted_run_leaves_the_old_set_as_it_was(source, tmp_path, monkeypatch):
    convert(source, tmp_path / "out")
    before = files(tmp_path / "out")
    real = converting.get_source_format("dior-rsvg")

    def stops(given):
        images = real.read(given)
        yield next(images)
        raise KeyboardInterrupt

    monkeypatch.setattr(converting, "get_source_format", lambda name: SourceFormat(name, "stops", stops))
    with pytest.raises(KeyboardInterrupt):
        prepare("dior-rsvg", [source / "DIOR"], tmp_path / "out", progress=False)
    assert files(tmp_path / "out") == before
    with pytest.raises(KeyboardInterrupt):
        prepare("dior-rsvg", [source / "DIOR"], tmp_path / "new", progress=False)
    assert not (tmp_path / "new").exists()


def test_a_new_set_takes_the_place_of_the_old_one_and_of_nothing_else(source, tmp_path):
    convert(source, tmp_path / "out")
    (tmp_path / "out" / "images").mkdir()
    (tmp_path / "out" / "images" / "mine.jpg").write_bytes(b"mine")
    for part in SPLITS:
        (source / "DIOR" / f"{part}.txt").unlink()
    prepare("dior-rsvg", [source / "DIOR"], tmp_path / "out", progress=False)
    found = files(tmp_path / "out")
    assert found.pop("images/mine.jpg") == b"mine"
    assert {path for path in found if "/" in path} <= {f"{part}/region.jsonl" for part in SPLITS}
    assert not (tmp_path / "out" / "official").exists()


def test_files_that_are_no_earlier_sets_are_not_overwritten(source, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "report.md").write_text("mine")
    with pytest.raises(MgimmError, match=r"report\.md, which is of no earlier set"):
        convert(source, tmp_path / "out")
    assert files(tmp_path / "out") == {"report.md": b"mine"}


def test_a_folder_that_cannot_be_written_to_is_an_error(source, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(MgimmError, match="cannot write to"):
        convert(source, tmp_path / "file" / "out")


def test_nothing_that_comes_out_is_an_error_with_the_first_reason(source, tmp_path):
    for path in (source / "DIOR" / "Annotations").iterdir():
        path.write_text("<annotation>")
    with pytest.raises(MgimmError, match=r"no record came out; dropped: 20\. .*not valid XML"):
        prepare("dior-rsvg", [source / "DIOR"], tmp_path / "out", progress=False)
    assert not (tmp_path / "out").exists()


def test_text_that_no_file_can_hold_is_dropped(source, tmp_path):
    entries = [
        {"image_id": number, "file_name": f"{number}.jpg", "width": 10, "height": 10, "bbox": [],
         "conversations": [{"from": "human", "value": "What?"}, {"from": "gpt", "value": text}]}
        for number, text in enumerate(["A dam.", "Half \ud83d.", "Größe 橋."])
    ]  # fmt: skip
    (tmp_path / "dior-gpg-test.json").write_text(json.dumps(entries))
    prepare("mgimm", [tmp_path / "dior-gpg-test.json"], tmp_path / "out", progress=False)
    assert "Größe 橋." in (tmp_path / "out" / "test" / "image.jsonl").read_text(encoding="utf-8")
    assert len((tmp_path / "out" / "dropped.ndjson").read_text(encoding="utf-8").splitlines()) == 1


def test_files_whose_names_are_no_utf8_cost_themselves_only(tmp_path):
    labels = tmp_path / os.fsdecode(b"t\xe9st")
    labels.mkdir()
    boxes = voc_xml("", ("ship", (11, 6, 30, 20), ""))
    for name, content in ((b"ok", boxes), (b"caf\xe9", boxes), (b"br\xfcck", b"<annotation>")):
        (labels / os.fsdecode(name + b".xml")).write_bytes(content)
    summary = prepare("voc", [labels], tmp_path / "out", progress=False)
    assert "dropped: 2" in summary
    entries = map(json.loads, (tmp_path / "out" / "dropped.ndjson").read_text(encoding="utf-8").splitlines())
    assert {os.fsencode(entry["file"]): entry["reason"].partition(":")[0] for entry in entries} == {
        b"t\xe9st/caf\xe9.xml": "is named by a file whose name is no UTF-8",
        b"t\xe9st/br\xfcck.xml": "line 1 is not valid XML",
    }
    assert "caf\\udce9.xml" in (tmp_path / "out" / "report.md").read_text(encoding="utf-8")
    card = json.loads((tmp_path / "out" / "dataset.json").read_text(encoding="utf-8"))
    assert os.fsencode(card["inputs"][0]["name"]) == b"t\xe9st"


def test_questions_are_the_users_where_there_are_some(source, tmp_path):
    (tmp_path / "mine.json").write_text('{"referring": ["Describe the basic attributes of the main object."]}')
    convert(source, tmp_path / "out", questions=tmp_path / "mine.json")
    for line in (tmp_path / "out" / "official" / "train" / "region.jsonl").read_text().splitlines():
        assert json.loads(line)["conversations"][0]["value"] == (
            "<region>\nDescribe the basic attributes of the main object."
        )
    assert json.loads((tmp_path / "out" / "dataset.json").read_text())["questions"]["name"] == "mine.json"


def test_a_set_does_not_go_into_its_own_source(source, tmp_path):
    with pytest.raises(MgimmError, match="lies in the input"):
        prepare("dior-rsvg", [source / "DIOR"], source / "DIOR" / "out", progress=False)


def test_a_set_does_not_take_the_place_of_its_own_source(source, tmp_path):
    convert(source, tmp_path / "out")
    first = files(tmp_path / "out")
    with pytest.raises(MgimmError, match=r"region.jsonl is of the set in .*, which it would replace"):
        prepare("llava", [tmp_path / "out" / "official" / "train" / "region.jsonl"], tmp_path / "out", progress=False)
    assert files(tmp_path / "out") == first


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"joins": ["mgimm"]}, "--join 'mgimm' is not FORMAT=PATH"),
        ({"joins": ["nothing=x.json"]}, "no source format 'nothing'"),
        ({"columns": ["bbox"]}, "--column 'bbox' is not FIELD=COLUMN"),
        ({"image_size": "800"}, "--image-size '800' is not WIDTHxHEIGHT"),
        ({"images": Path("/nowhere")}, "image folder /nowhere does not exist"),
    ],
)
def test_wrong_settings_are_named(source, tmp_path, settings, message):
    with pytest.raises(MgimmError, match=message):
        prepare("dior-rsvg", [source / "DIOR"], tmp_path / "out", progress=False, **settings)


def test_the_documentation_has_every_format():
    text = (Path(__file__).parents[3] / "docs" / "preparing.md").read_text(encoding="utf-8")
    rows = " ".join(line.split("|")[1] for line in text.splitlines() if line.startswith("| `"))
    assert {name for name in source_formats() if f"`{name}`" not in rows} == set()


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("classes", "ship\ndam\n"),
        ("classes.txt", "0: ship\n1: dam\n"),
        ("classes.txt", "1: dam\n0 : ship"),
        ("classes.json", '["ship", "dam"]'),
        ("classes", '{"1": "dam", "0": "ship"}'),
        ("classes", '{"ship": 0, "dam": 1}'),
        ("data.yaml", "train: images/train\nnc: 2\nnames: ['ship', 'dam']\n"),
        ("data.yml", "path: set\nnames:\n  0: ship  # as it is\n  1: dam\ntrain: images\n"),
        ("data.yaml", "names:\n  '0': ship\n  '1': dam\n"),
        ("data.yaml", "names:\n- ship\n- dam\nnc: 2\n"),
    ],
)
def test_class_names_are_read_in_any_common_form(tmp_path, name, text):
    (tmp_path / name).write_text(text)
    assert read_classes(tmp_path / name) == ["ship", "dam"]


@pytest.mark.parametrize(
    "text",
    [
        "", '{"1": "ship"}', '{"ship": "dam"}', "[1]", "ship\n\ndam", '["ship"', '{"0": ["x"]}', "0: ship\ndam",
        "1: ship\n2: dam", "0: ship\n0: dam", "0:\n1: dam",
    ],
)  # fmt: skip
def test_what_names_no_classes_is_an_error(tmp_path, text):
    (tmp_path / "classes").write_text(text)
    with pytest.raises(RecordError, match="classes"):
        read_classes(tmp_path / "classes")


def test_a_data_file_without_names_is_an_error(tmp_path):
    (tmp_path / "data.yaml").write_text("ship\ndam\n")
    with pytest.raises(RecordError, match=r"data\.yaml: has no list of classes under names"):
        read_classes(tmp_path / "data.yaml")
