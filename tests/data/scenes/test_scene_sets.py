"""Sets of scenes: splits, cards, and what the command line makes of them."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image
from typer.testing import CliRunner

from mgimm_plugin.cli import app
from mgimm_plugin.data.formats import format_of
from mgimm_plugin.data.records import read_records
from mgimm_plugin.data.scenes import split_seed, write_scenes
from mgimm_plugin.data.scenes.scene import split_of
from mgimm_plugin.errors import MgimmError, SettingError

ROOT = Path(__file__).resolve().parents[3]


def test_splits_have_seeds_of_their_own():
    seeds = {split: [split_seed(split, seed) for seed in (0, 5, 999_999)] for split in ("train", "val", "test")}
    assert len({seed for some in seeds.values() for seed in some}) == 9
    assert all(split_of(seed) == split for split, some in seeds.items() for seed in some)
    with pytest.raises(ValueError, match="a million seeds"):
        split_seed("train", 1_000_000)


def test_a_set_says_what_it_is_and_its_records_are_good(tmp_path):
    write_scenes(tmp_path, count=3, seed=split_seed("test", 4), size=96, workers=1, progress=False)
    card = json.loads((tmp_path / "dataset.json").read_text())
    assert (card["split"], card["size"], card["style"], card["nuisance"]) == ("test", 96, "standard", "mild")
    assert sum(card["settings"].values()) == 3
    kinds = {"region.jsonl": "region-instruction", "image.jsonl": "image-instruction"}
    for name, count in card["files"].items():
        records = list(read_records(tmp_path / name))
        assert len(records) == count
        assert {format_of(record).name for record in records} == {kinds.get(name, "region-instruction")}
    objects = [region for record in read_records(tmp_path / "image.jsonl") for region in record.regions]
    assert sum(card["categories"].values()) == len(objects) == card["files"]["region.jsonl"]


def test_the_command_line_draws_a_style_of_a_split(tmp_path):
    arguments = ["scenes", "--count", "1", "--split", "val", "--seed", "2", "--size", "64", "--style", "winter"]
    result = CliRunner().invoke(app, [*arguments, "--nuisance", "none", "--workers", "1", "--output", str(tmp_path)])
    assert result.exit_code == 0, result.output
    card = json.loads((tmp_path / "dataset.json").read_text())
    assert (card["seed"], card["style"], card["nuisance"]) == (1_000_002, "winter", "none")


def test_the_command_line_refuses_a_seed_of_the_next_split(tmp_path):
    result = CliRunner().invoke(app, ["scenes", "--count", "1", "--seed", "1000000", "--output", str(tmp_path)])
    assert result.exit_code == 2
    assert "999999" in result.output
    assert not any(tmp_path.iterdir())


def test_what_cannot_be_drawn_is_refused_before_anything_is_written(tmp_path):
    with pytest.raises(ValueError, match="0 scenes"):
        write_scenes(tmp_path / "set", count=0, seed=0)
    with pytest.raises(ValueError, match="of 63 px"):
        write_scenes(tmp_path / "set", count=1, seed=0, size=63)
    for wrong in ({"style": "baroque"}, {"nuisance": "hail"}):
        with pytest.raises(SettingError, match="there are "):
            write_scenes(tmp_path / "set", count=1, seed=0, **wrong)
    assert not (tmp_path / "set").exists()


@pytest.mark.parametrize("name", ["images/photo.jpg", "region.jsonl", "dataset.json"])
def test_files_of_others_are_not_replaced_and_an_earlier_set_is(tmp_path, name):
    (tmp_path / "set" / "images").mkdir(parents=True)
    (tmp_path / "set" / name).write_text("mine")
    with pytest.raises(MgimmError, match="of no earlier set; choose another folder"):
        write_scenes(tmp_path / "set", count=1, seed=0, size=64, workers=1, progress=False)
    assert (tmp_path / "set" / name).read_text() == "mine"
    (tmp_path / "own" / f".partial-{os.getpid()}" / "images").mkdir(parents=True)  # of a process that was killed
    for count in (2, 1):
        write_scenes(tmp_path / "own", count=count, seed=0, size=64, workers=1, progress=False)
    assert [path.name for path in (tmp_path / "own" / "images").iterdir()] == ["000000.jpg"]


def write_into(folder, count, **options):
    write_scenes(folder, count=count, size=64, workers=1, progress=False, **{"seed": 0, **options})


def images_in(folder):
    return sorted(path.name for path in (folder / "images").iterdir())


def test_files_that_a_user_put_among_the_images_of_a_set_stay(tmp_path):
    write_into(tmp_path, 3)
    for name in ("holiday.jpg", "0001.jpg", "notes.txt"):
        (tmp_path / "images" / name).write_text("mine")
    (tmp_path / "images" / "more").mkdir()
    write_into(tmp_path, 2, seed=1)
    assert images_in(tmp_path) == ["000000.jpg", "000001.jpg", "0001.jpg", "holiday.jpg", "more", "notes.txt"]
    assert (tmp_path / "images" / "holiday.jpg").read_text() == "mine"
    fresh = tmp_path / "fresh"
    write_into(fresh, 2, seed=1)
    for name in ("images/000000.jpg", "images/000001.jpg", "region.jsonl", "dataset.json"):
        assert (tmp_path / name).read_bytes() == (fresh / name).read_bytes(), "the new set, whole"


def test_a_users_image_that_has_the_name_of_a_further_scene_is_not_replaced(tmp_path):
    write_into(tmp_path, 1)
    (tmp_path / "images" / "000001.jpg").write_text("mine")
    before = (tmp_path / "images" / "000000.jpg").read_bytes()
    with pytest.raises(MgimmError, match=r"already has images/000001\.jpg, which is of no earlier set"):
        write_into(tmp_path, 2, seed=1)
    assert (tmp_path / "images" / "000001.jpg").read_text() == "mine"
    assert (tmp_path / "images" / "000000.jpg").read_bytes() == before


def test_a_set_whose_replacement_breaks_off_is_there_and_can_be_replaced(tmp_path, monkeypatch):
    write_into(tmp_path, 2)
    before = {name: (tmp_path / "images" / name).read_bytes() for name in images_in(tmp_path)}
    save = Image.Image.save

    def run_out(image, path, **options):
        if path.name == "000001.jpg":
            raise KeyboardInterrupt
        save(image, path, **options)

    with monkeypatch.context() as patch:
        patch.setattr(Image.Image, "save", run_out)
        with pytest.raises(KeyboardInterrupt):
            write_into(tmp_path, 3, seed=1)
    assert {name: (tmp_path / "images" / name).read_bytes() for name in images_in(tmp_path)} == before
    write_into(tmp_path, 3, seed=1)
    assert len(images_in(tmp_path)) == len(list(read_records(tmp_path / "image.jsonl"))) == 3


def test_the_texts_of_a_set_are_read_back_and_a_false_one_is_found(tmp_path):
    def checked():
        command = [sys.executable, str(ROOT / "scripts" / "check_scenes.py"), str(tmp_path), "--workers", "1"]
        path = os.pathsep.join([str(ROOT), str(ROOT / "patches")])
        done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, "PYTHONPATH": path})
        return done.returncode, done.stdout.splitlines()

    write_scenes(tmp_path, count=2, seed=7, size=64, workers=1, progress=False)
    code, said = checked()
    assert code == 0
    assert said[-1].endswith("texts about 2 scenes were read back: 0 contradictions")
    path = tmp_path / "image.jsonl"
    image, *others = path.read_text().splitlines(keepends=True)
    record = json.loads(image)
    record["conversations"][1]["value"] += " A purple elephant can be seen."
    path.write_text(json.dumps(record) + "\n" + "".join(others))
    code, said = checked()
    assert code == 1
    assert "elephant" in said[0]


def test_scenes_are_drawn_where_no_process_is_bound_to_cores(tmp_path, monkeypatch):
    """As on macOS and Windows."""
    monkeypatch.delattr("os.sched_getaffinity", raising=False)
    write_scenes(tmp_path, count=1, seed=0, size=64, progress=False)
    assert (tmp_path / "dataset.json").is_file()
