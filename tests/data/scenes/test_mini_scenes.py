import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mgimm_plugin.data.scenes import generate_scene, scene_records, write_scenes
from mgimm_plugin.data.scenes.mini.grammar import REGION_PATTERNS, fill, parse_attributes
from mgimm_plugin.data.scenes.mini.layout import lay_out
from mgimm_plugin.data.scenes.mini.vocabulary import (
    COLORS,
    POSITIONS,
    SETTINGS,
    SHAPE_WORDS,
    SHAPES,
    SIZES,
    position_word,
    size_word,
)
from mgimm_plugin.data.scenes.scene import Scene, random_source


@pytest.fixture(scope="module")
def scenes() -> list[Scene]:
    return [generate_scene(3, index, world="mini") for index in range(12)]


def test_a_scene_follows_from_seed_and_index_alone(scenes: list[Scene]) -> None:
    again = generate_scene(3, 5, world="mini")
    assert [item.attributes for item in again.objects] == [item.attributes for item in scenes[5].objects]
    np.testing.assert_array_equal(np.asarray(again.image), np.asarray(scenes[5].image))
    assert scene_records(again, 3, 5, world="mini") == scene_records(scenes[5], 3, 5, world="mini")
    other = generate_scene(4, 5, world="mini")
    assert [item.box for item in other.objects] != [item.box for item in again.objects]


def test_files_have_the_same_bytes_for_any_number_of_workers(tmp_path: Path) -> None:
    for name, workers in (("one", 1), ("two", 2), ("two", 1)):
        write_scenes(tmp_path / name, count=3, seed=1, size=64, workers=workers, world="mini", progress=False)
    files = [
        sorted(path.relative_to(tmp_path / name) for path in (tmp_path / name).rglob("*.*")) for name in ("one", "two")
    ]
    assert files[0] == files[1]
    assert len(files[0]) == 6
    for file in files[0]:
        assert (tmp_path / "one" / file).read_bytes() == (tmp_path / "two" / file).read_bytes()


def test_every_object_has_a_different_one_of_its_category_in_view() -> None:
    for index in range(40):
        objects = lay_out(random_source(0, index, 0), "desert", 224)
        assert 3 <= len(objects) <= 8
        for item in objects:
            others = [other for other in objects if other is not item and other.category == item.category]
            assert others
            assert all((other.color, other.shape) != (item.color, item.shape) for other in others)


def test_size_and_position_follow_from_the_box(scenes: list[Scene]) -> None:
    for scene in scenes:
        for item in scene.objects:
            assert item.size == size_word(item.box, 224)
            assert item.position == position_word(item.box, 224)
    assert size_word((0, 0, 10, 10), 100) == "small"
    assert size_word((0, 0, 20, 20), 100) == "medium"
    assert size_word((0, 0, 10, 70), 100) == "large"
    assert position_word((0, 80, 10, 100), 100) == "bottom left"
    assert position_word((45, 45, 55, 55), 100) == "center"


def test_boxes_lie_inside_the_frame_and_apart(scenes: list[Scene]) -> None:
    for scene in scenes:
        boxes = [item.box for item in scene.objects]
        assert all(0 <= x1 < x2 <= 224 and 0 <= y1 < y2 <= 224 for x1, y1, x2, y2 in boxes)
        for number, a in enumerate(boxes):
            for b in boxes[:number]:
                assert a[0] >= b[2] or b[0] >= a[2] or a[1] >= b[3] or b[1] >= a[3]


def test_an_object_is_drawn_inside_its_box_and_nowhere_else() -> None:
    from dataclasses import replace

    from mgimm_plugin.data.scenes.mini.drawing import draw

    item = replace(generate_scene(0, 0, world="mini").objects[0], tint=(255, 0, 255))
    drawn = np.asarray(draw("grassland", (item,), random_source(0, 0, 1), 224), dtype=int)
    rows, columns = np.nonzero((drawn[..., 0] > 200) & (drawn[..., 1] < 60) & (drawn[..., 2] > 200))
    x1, y1, x2, y2 = item.box
    assert x1 - 1 <= columns.min()
    assert columns.max() < x2 + 1
    assert y1 - 1 <= rows.min()
    assert rows.max() < y2 + 1


def test_colors_stand_out_on_their_ground(scenes: list[Scene]) -> None:
    for scene in scenes:
        assert all(item.color in SETTINGS[scene.setting] for item in scene.objects)


def test_region_answers_and_references_say_what_is_true(scenes: list[Scene]) -> None:
    for index, scene in enumerate(scenes):
        for item, record in zip(scene.objects, scene_records(scene, 3, index, world="mini").regions, strict=True):
            answers = [record["conversations"][1]["value"], *record["references"]]
            assert len(set(answers)) == 5
            for answer in answers:
                assert parse_attributes(answer) == item.attributes
            assert record["regions"][0]["attributes"] == item.attributes


@pytest.mark.parametrize("pattern", REGION_PATTERNS)
def test_every_attribute_word_can_be_read_back_from_every_pattern(pattern: str) -> None:
    for category, shapes in SHAPES.items():
        for shape in shapes:
            values = {"category": category, "shape": shape, "color": "red", "size": "small", "position": "top left"}
            assert parse_attributes(fill(pattern, values)) == values
    for color in COLORS:
        for size in SIZES:
            for position in (word for row in POSITIONS for word in row):
                values = {"category": "ship", "shape": "pointed", "color": color, "size": size, "position": position}
                assert parse_attributes(fill(pattern, values)) == values


def test_no_attribute_word_is_part_of_another() -> None:
    words = [*SHAPES, *SHAPE_WORDS, *COLORS, *SIZES, *(word for row in POSITIONS for word in row)]
    for a in words:
        assert not [b for b in words if a != b and f" {a} " in f" {b} "]


def test_descriptions_mention_every_object_in_three_to_six_sentences(scenes: list[Scene]) -> None:
    for index, scene in enumerate(scenes):
        record = scene_records(scene, 3, index, world="mini").image
        texts = [record["conversations"][1]["value"], *record["references"]]
        assert len(texts) == 5
        for text in texts:
            assert 3 <= text.count(".") <= 6
            for item in scene.objects:
                assert f"{item.size} {item.color} {item.shape} {item.category}" in text
                assert item.position in text
            assert " a L-" not in text
            assert " a open" not in text


def test_records_have_the_form_of_the_two_formats(tmp_path: Path) -> None:
    write_scenes(tmp_path, count=2, seed=5, size=96, workers=1, world="mini", progress=False)
    images = [json.loads(line) for line in (tmp_path / "image.jsonl").read_text().splitlines()]
    regions = [json.loads(line) for line in (tmp_path / "region.jsonl").read_text().splitlines()]
    assert len(images) == 2
    assert len(regions) == sum(len(record["regions"]) for record in images)
    for record in [*images, *regions]:
        human = record["conversations"][0]["value"]
        assert human.count("<region>") == len(record["regions"])
        assert human.startswith("<image>\n" if record in images else "<region>\n")
        with Image.open(tmp_path / record["image"]) as image:
            assert image.size == (record["width"], record["height"]) == (96, 96)


def test_nothing_to_draw_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="0 scenes"):
        write_scenes(tmp_path, count=0, seed=0, world="mini")
