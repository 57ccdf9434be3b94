"""A set whose parts lie in folders keeps its parts."""

from dataclasses import replace

import pytest

from mgimm_plugin.data.prepare.converting import Conversion, convert
from mgimm_plugin.data.prepare.source import Source, get_source_format
from tests.data.prepare.samples import SAMPLES


def splits(name, folder, places, inputs=("set",)):
    """The split of each image of a format whose first file lies in each of the places."""
    sample = SAMPLES[name]
    path, content = next(iter(sample.files.items()))
    suffix = path.rpartition(".")[2]
    files = {f"{place}/{number}.{suffix}": content for number, place in enumerate(places)}
    lists = {f"set/{path.rpartition('/')[2]}": text for path, text in sample.files.items() if "classes" in path}
    options = {**sample.options, "image_size": (60, 40)}
    source = replace(sample, inputs=inputs, images={}, options=options).write(folder, files | lists)
    return [image.split for image in get_source_format(name).read(source)]


@pytest.mark.parametrize("name", ["voc", "dota", "vhr10", "yolo", "vrsbench"])
def test_folders_below_the_input_tell_the_split(tmp_path, name):
    places = ["set/test/labels", "set/train/labels", "set/valid/labels", "set/validation", "set/val"]
    assert sorted(splits(name, tmp_path, places)) == ["test", "train", "val", "val", "val"]


@pytest.mark.parametrize(
    ("place", "split"),
    [
        ("set/Annotations_train", "train"),
        ("set/labels/val2017", "val"),
        ("set/Test", "test"),
        ("set/test/train", "train"),
        ("set/training_site", None),
        ("set/latest", None),
        ("set", None),
    ],
)
def test_a_part_is_the_end_of_a_name_and_the_nearest_folder_tells_it(tmp_path, place, split):
    assert splits("voc", tmp_path, [place]) == [split]


def test_a_folder_of_one_part_has_no_split_and_several_have_theirs(tmp_path):
    places = ["test/train/labels", "test/val/labels"]
    assert splits("dota", tmp_path, places, ["test/train/labels"]) == [None]
    assert splits("dota", tmp_path, places, ["test/train/labels", "test/val/labels"]) == ["train", "val"]


def test_test_images_do_not_come_into_training(tmp_path):
    splits("voc", tmp_path, ["set/train", "set/test"])
    source = Source([tmp_path / "set"])
    convert(Conversion(source_format="voc", source=source, output=tmp_path / "out", progress=False))
    assert {path.parent.name for path in (tmp_path / "out").rglob("region.jsonl")} == {"train", "test"}
