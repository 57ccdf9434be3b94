"""What is where in overhead scenes. Their drawings and their texts have tests of their own."""

import json
from collections import Counter
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw

from mgimm_plugin.data.measures import position_word, size_word
from mgimm_plugin.data.scenes import generate_scene, scene_records, write_scenes
from mgimm_plugin.data.scenes.overhead.objects import OverheadObject, is_doubtful
from mgimm_plugin.data.scenes.overhead.picture.nuisances import NUISANCES
from mgimm_plugin.data.scenes.overhead.place.layout import Layout, lay_out
from mgimm_plugin.data.scenes.overhead.place.menus import MENUS
from mgimm_plugin.data.scenes.overhead.place.plan import GRID, direction_word
from mgimm_plugin.data.scenes.overhead.styles import STYLES
from mgimm_plugin.data.scenes.overhead.vocabulary import CATEGORIES, COLORS, KINDS, SETTINGS
from mgimm_plugin.data.scenes.scene import Scene, random_source
from mgimm_plugin.errors import SettingError

SIZE = 224


@cache
def layout_of(style: str, index: int) -> Layout:
    return lay_out(random_source(2, index, 0), STYLES[style], SIZE)


def layouts(style: str = "standard", count: int = 60) -> list[Layout]:
    return [layout_of(style, index) for index in range(count)]


@pytest.fixture(scope="module")
def scenes() -> list[Scene]:
    return [generate_scene(3, index) for index in range(12)]


def under(layout: Layout, item: OverheadObject) -> Counter:
    """How much of an object lies on each surface."""
    mask = Image.new("1", (GRID, GRID))
    ImageDraw.Draw(mask).polygon([(x / SIZE * GRID, y / SIZE * GRID) for x, y in item.polygon], fill=1)
    numbers = layout.plan.patch_map()[np.asarray(mask)]
    return Counter(layout.plan.patches[number].surface for number in numbers.tolist())


def test_an_unknown_style_or_nuisance_names_those_there_are() -> None:
    with pytest.raises(SettingError, match="no style 'cubist'; there are standard, "):
        generate_scene(0, 0, style="cubist")
    with pytest.raises(SettingError, match="no nuisance 'hail'; there are mild, "):
        generate_scene(0, 0, nuisance="hail")


def test_a_scene_follows_from_seed_and_index_alone(scenes: list[Scene]) -> None:
    again = generate_scene(3, 5)
    assert [item.attributes for item in again.objects] == [item.attributes for item in scenes[5].objects]
    assert again.facts == scenes[5].facts
    np.testing.assert_array_equal(np.asarray(again.image), np.asarray(scenes[5].image))
    assert scene_records(again, 3, 5) == scene_records(scenes[5], 3, 5)
    other = generate_scene(4, 5)
    assert [item.box for item in other.objects] != [item.box for item in again.objects]


def test_files_have_the_same_bytes_for_any_number_of_workers(tmp_path: Path) -> None:
    for name, workers in (("one", 1), ("two", 2)):
        write_scenes(tmp_path / name, count=9, seed=1, size=64, workers=workers, progress=False)
    files = [
        sorted(path.relative_to(tmp_path / name) for path in (tmp_path / name).rglob("*.*")) for name in ("one", "two")
    ]
    assert files[0] == files[1]
    assert len(files[0]) >= 12
    for file in files[0]:
        assert (tmp_path / "one" / file).read_bytes() == (tmp_path / "two" / file).read_bytes()


def test_what_is_written_about_a_scene_is_complete(scenes: list[Scene]) -> None:
    for index, scene in enumerate(scenes):
        records = scene_records(scene, 3, index)
        assert json.loads(json.dumps(records.image))["counts"] == Counter(item.category for item in scene.objects)
        assert records.image["setting"] in SETTINGS
        assert (records.image["style"], records.image["nuisance"]) == ("standard", "mild")
        assert all(set(feature) == {"kind", "direction"} for feature in records.image["features"])
        for entry, item in zip(records.image["regions"], scene.objects, strict=True):
            assert entry["surface"] in KINDS[item.category].surfaces
            assert len(entry["polygon"]) >= 3
            assert isinstance(entry["relations"], list)


def test_boxes_lie_inside_the_frame_and_apart() -> None:
    for layout in layouts() + layouts("dense", 20):
        boxes = [item.box for item in layout.objects]
        assert all(0 <= x1 < x2 <= SIZE and 0 <= y1 < y2 <= SIZE for x1, y1, x2, y2 in boxes)
        for number, a in enumerate(boxes):
            for b in boxes[:number]:
                assert a[0] > b[2] or b[0] > a[2] or a[1] > b[3] or b[1] > a[3]


def test_the_box_is_the_exact_one_around_what_is_drawn() -> None:
    for layout in layouts():
        for item in layout.objects:
            points = np.concatenate([part.points for part in item.glyph.parts])
            np.testing.assert_allclose(item.box, [*points.min(axis=0), *points.max(axis=0)], atol=0.051)
            outline = np.array(item.polygon)
            assert (outline >= item.box[:2]).all()
            assert (outline <= item.box[2:]).all()


def test_words_follow_from_the_box_beyond_doubt() -> None:
    for layout in layouts():
        for item in layout.objects:
            assert item.size == size_word(item.box, SIZE, SIZE)
            assert item.position == position_word(item.box, SIZE, SIZE)
            x1, y1, x2, y2 = (value / SIZE for value in item.box)
            assert not is_doubtful((x1 - 1e-4, y1, x2 + 1e-4, y2)) or not is_doubtful((x1, y1, x2, y2))


def test_every_object_has_a_different_one_of_its_category_in_view() -> None:
    for layout in layouts():
        assert 3 <= len(layout.objects) <= 12
        for item in layout.objects:
            others = [other for other in layout.objects if other is not item and other.category == item.category]
            assert others
            assert all((other.color, other.shape) != (item.color, item.shape) for other in others)


def test_objects_look_as_their_category_may() -> None:
    for layout in layouts():
        for item in layout.objects:
            kind = KINDS[item.category]
            assert item.color in kind.colors
            assert item.shape in kind.shapes
            assert item.surface in kind.surfaces
            assert item.category in MENUS[layout.plan.setting]
            side = np.sqrt((item.box[2] - item.box[0]) * (item.box[3] - item.box[1]))
            assert 0.88 * kind.sides[0] <= side / SIZE <= 1.13 * kind.sides[1]


def test_objects_stand_on_ground_that_suits_them() -> None:
    # These reach beyond their surface, or have roads of their own.
    least = {"bridge": 0.35, "dam": 0.45, "harbor": 0.5, "train station": 0.0, "expressway toll station": 0.6}
    least["overpass"] = 0.8
    seen = set()
    for layout in layouts():
        for item in layout.objects:
            surfaces = under(layout, item)
            share = surfaces[item.surface] / max(surfaces.total(), 1)
            assert share >= least.get(item.category, 0.9), (item.category, surfaces)
            if item.category != "train station" and item.surface != "water":
                assert not surfaces["water"]
            seen.add(item.category)
    assert len(seen) == len(CATEGORIES)


def test_bridges_and_dams_end_on_the_banks() -> None:
    found = 0
    for layout in layouts():
        numbers = layout.plan.patch_map()
        for item in layout.objects:
            if item.category not in ("bridge", "dam"):
                continue
            outline = np.array(item.polygon) / SIZE
            angle = np.radians(item.angle + (90 if item.category == "bridge" else 0))
            reach = outline @ (np.cos(angle), np.sin(angle))
            for end in (
                outline[reach > reach.max() - 0.01].mean(axis=0),
                outline[reach < reach.min() + 0.01].mean(axis=0),
            ):
                x, y = np.clip((end * GRID).astype(int), 0, GRID - 1)
                assert layout.plan.patches[numbers[y, x]].surface != "water"
                found += 1
    assert found > 8


def test_a_direction_is_told_only_of_what_crosses_the_frame() -> None:
    level = np.array([(-0.2, 0.4), (1.2, 0.5)])
    assert direction_word(level) == "horizontal"
    assert direction_word(level[:, ::-1]) == "vertical"
    assert direction_word(np.array([(-0.2, -0.1), (1.2, 1.1)])) == "diagonal"
    assert direction_word(np.array([(-0.2, 0.8), (1.2, 1.9)])) is None
    assert direction_word(np.array([(-0.2, 0.3), (0.6, 0.4)])) is None
    assert direction_word(np.array([(-0.2, 0.2), (1.2, 0.8)])) is None


def test_details_keep_away_from_objects() -> None:
    for layout in layouts():
        for detail in layout.details:
            low, high = detail.outline.min(axis=0) * SIZE, detail.outline.max(axis=0) * SIZE
            for x1, y1, x2, y2 in (item.box for item in layout.objects):
                assert low[0] >= x2 or high[0] <= x1 or low[1] >= y2 or high[1] <= y1


def test_categories_and_settings_are_about_equally_frequent() -> None:
    counts = Counter(item.category for layout in layouts(count=160) for item in layout.objects)
    assert set(counts) == set(CATEGORIES)
    assert min(counts.values()) > 0.016 * counts.total()
    assert max(counts.values()) < 0.12 * counts.total()
    settings = Counter(layout.plan.setting for layout in layouts(count=160))
    assert set(settings) == set(SETTINGS)
    assert min(settings.values()) > 0.05 * settings.total()


@pytest.mark.parametrize("nuisance", ["none", "strong"])
def test_a_nuisance_changes_pixels_and_nothing_else(scenes: list[Scene], nuisance: str) -> None:
    other = generate_scene(3, 1, nuisance=nuisance)
    assert [item.attributes for item in other.objects] == [item.attributes for item in scenes[1].objects]
    assert [item.box for item in other.objects] == [item.box for item in scenes[1].objects]
    assert (np.asarray(other.image) != np.asarray(scenes[1].image)).mean() > 0.2
    assert set(NUISANCES) == {"mild", "none", "strong"}


def test_styles_change_what_they_say() -> None:
    def sides(style: str) -> float:
        boxes = [item.box for layout in layouts(style, 30) for item in layout.objects]
        return float(np.mean([np.sqrt((x2 - x1) * (y2 - y1)) for x1, y1, x2, y2 in boxes]))

    assert sides("small") < 0.85 * sides("standard")
    assert all(8 <= len(layout.objects) <= 12 for layout in layouts("dense", 20))
    means = {style: _mean_color(style) for style in ("standard", "autumn", "winter", "dusk")}
    assert means["winter"].mean() > means["standard"].mean() + 10
    assert means["dusk"].mean() < means["standard"].mean() - 10
    assert means["autumn"][0] - means["autumn"][1] > means["standard"][0] - means["standard"][1] + 4


def _mean_color(style: str) -> np.ndarray:
    pictures = [np.asarray(generate_scene(8, index, size=64, style=style).image) for index in range(12)]
    return np.mean([picture.mean(axis=(0, 1)) for picture in pictures], axis=0)


@pytest.mark.parametrize("style", ["standard", "autumn", "winter", "dusk"])
def test_objects_have_the_color_they_are_said_to_have(style: str) -> None:
    """Of the pixels of an object, the color word that is nearest to most of them is its own."""
    words = list(COLORS)
    values = np.array([COLORS[word] for word in words], dtype=float)
    right = []
    for index in range(14):
        scene = generate_scene(12, index, style=style, nuisance="none")
        pixels = np.asarray(scene.image, dtype=float)
        for item in scene.objects:
            mask = Image.new("1", scene.image.size)
            ImageDraw.Draw(mask).polygon(list(item.polygon), fill=1)
            inside = pixels[np.asarray(mask)]
            nearest = np.bincount(((inside[:, None] - values) ** 2).sum(-1).argmin(1), minlength=len(words))
            right.append(item.color in {words[number] for number in np.argsort(nearest)[-2:]})
    assert np.mean(right) > 0.8


@pytest.mark.parametrize("size", [64, 800])
def test_scenes_come_in_other_sizes(size: int) -> None:
    scene = generate_scene(3, 2, size=size)
    assert scene.image.size == (size, size)
    assert scene.image.mode == "RGB"
    for item in scene.objects:
        assert item.size == size_word(item.box, size, size)
        assert item.position == position_word(item.box, size, size)
        assert max(item.box) <= size


def test_every_setting_draws_every_category_of_its_menu() -> None:
    assert set(MENUS) == set(SETTINGS)
    assert {category for menu in MENUS.values() for category in menu} == set(CATEGORIES)
