"""Drawings of the overhead scenes: form, outline, color and paint."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image, ImageDraw

from mgimm_plugin.data.scenes.overhead.glyphs import Glyph, bounds, glyph, placed
from mgimm_plugin.data.scenes.overhead.picture.painting import PALETTE, paint, role_color
from mgimm_plugin.data.scenes.overhead.vocabulary import COLORS, KINDS

LOOKS = [(category, shape) for category, kind in KINDS.items() for shape in kind.shapes]
GROUND = (1, 2, 3)
TINT = (255, 0, 200)


def flat(drawing: Glyph) -> Glyph:
    """The drawing without its shadows."""
    return Glyph(tuple(part._replace(height=0.0, base=0.0) for part in drawing.parts), drawing.outline)


def turned(drawing: Glyph, degrees: float, half: float = 100.0, middle: float = 150.0) -> Glyph:
    angle = np.radians(degrees)
    matrix = half * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    return placed(drawing, matrix, np.array([middle, middle]))


def painted(drawing: Glyph, size: int = 300, sun: tuple[float, float] = (0.5, 0.4)) -> np.ndarray:
    canvas = Image.new("RGB", (size, size), GROUND)
    paint(canvas, [(drawing, TINT)], scale=1.0, sun=sun)
    return np.asarray(canvas)


def filled(outline: np.ndarray, size: int = 300) -> np.ndarray:
    mask = Image.new("1", (size, size))
    ImageDraw.Draw(mask).polygon((outline - 0.5).ravel().tolist(), fill=1)
    return np.asarray(mask)


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(11)


@pytest.mark.parametrize(("category", "shape"), LOOKS)
class TestEveryLook:
    def test_fills_its_frame(self, category, shape, rng):
        for _ in range(5):
            low, high = bounds(glyph(category, shape, rng))
            np.testing.assert_allclose(low, -high, atol=1e-9)
            assert (high - low).max() == pytest.approx(2)

    def test_body_covers_half_of_what_is_seen_of_it(self, category, shape, rng):
        for detail in (24.0, 128.0):
            for _ in range(3):
                picture = painted(flat(turned(glyph(category, shape, rng, detail=detail), 0, 120)))
                body = (picture == TINT).all(axis=-1).sum()
                assert body >= 0.47 * (picture != GROUND).any(axis=-1).sum()

    def test_outline_is_tight_however_turned(self, category, shape, rng):
        for degrees in (0, 33, 90):
            drawing = turned(glyph(category, shape, rng), degrees)
            low, high = bounds(drawing)
            np.testing.assert_allclose(drawing.outline.min(axis=0), low, atol=2.5)
            np.testing.assert_allclose(drawing.outline.max(axis=0), high, atol=2.5)

    def test_outline_encloses_what_is_painted(self, category, shape, rng):
        for degrees in (0, 33):
            drawing = flat(turned(glyph(category, shape, rng), degrees))
            drawn, inside = (painted(drawing) != GROUND).any(axis=-1), filled(drawing.outline)
            assert (drawn & ~inside).sum() < 0.03 * drawn.sum()
            assert (drawn & inside).sum() > 0.45 * inside.sum()

    def test_painted_pixels_lie_within_the_box(self, category, shape, rng):
        drawing = flat(turned(glyph(category, shape, rng), 20))
        rows, columns = np.nonzero((painted(drawing) != GROUND).any(axis=-1))
        low, high = bounds(drawing)
        np.testing.assert_allclose((columns.min(), rows.min()), low, atol=1.5)
        np.testing.assert_allclose((columns.max() + 1, rows.max() + 1), high, atol=1.5)

    def test_same_seed_same_drawing_next_call_another(self, category, shape):
        first, again = np.random.default_rng(3), np.random.default_rng(3)
        one, same, other = glyph(category, shape, first), glyph(category, shape, again), glyph(category, shape, first)
        assert [(part.role, part.height, part.base) for part in one.parts] == [part[1:] for part in same.parts]
        for part, twin in zip(one.parts, same.parts, strict=True):
            np.testing.assert_array_equal(part.points, twin.points)
        variants = [one, other, *(glyph(category, shape, first) for _ in range(4))]
        assert len({np.concatenate([part.points for part in each.parts]).tobytes() for each in variants}) > 3

    def test_box_and_outline_do_not_depend_on_detail(self, category, shape):
        for seed in range(6):
            coarse = glyph(category, shape, np.random.default_rng(seed), detail=8)
            fine = glyph(category, shape, np.random.default_rng(seed), detail=400)
            np.testing.assert_allclose(coarse.outline, fine.outline, atol=1e-9)
            np.testing.assert_allclose(bounds(coarse), bounds(fine), atol=1e-9)
            assert len(coarse.parts) <= len(fine.parts)

    def test_every_role_has_a_color(self, category, shape, rng):
        for name in KINDS[category].colors:
            for part in glyph(category, shape, rng, detail=400).parts:
                assert all(0 <= value <= 255 for value in role_color(part.role, COLORS[name]))


@pytest.mark.parametrize("category", KINDS)
def test_the_color_shows_in_the_smallest_picture(category, rng):
    kind = KINDS[category]
    names, values = list(COLORS), np.array(list(COLORS.values()), dtype=float)
    for shape in kind.shapes:
        for number, color in enumerate(kind.colors):
            side = max(8.0, (kind.sides[0] if number % 2 else 0.18) * 224)
            drawing = turned(glyph(category, shape, rng, detail=side), 77 * number, half=1.0, middle=0.0)
            low, high = bounds(drawing)
            drawing = placed(drawing, side / np.sqrt(np.prod(high - low)) * np.eye(2), np.array([60.0, 60.0]))
            canvas = Image.new("RGB", (240, 240), (110, 130, 95))
            paint(canvas, [(drawing, COLORS[color])], scale=2.0, sun=(0.4, 0.3))
            seen = np.asarray(canvas.reduce(2), dtype=float)[filled(drawing.outline, 120)]
            seen = seen[np.abs(seen - (110, 130, 95)).max(axis=1) > 6]
            nearest = np.bincount(((seen[:, None] - values) ** 2).sum(axis=-1).argmin(axis=1), minlength=len(names))
            # Where dark details of a few pixels mix with red, brown is nearest.
            assert nearest[names.index(color)] > 0.9 * nearest.max(), (shape, color, side)


def test_shapes_of_a_category_differ_in_outline(rng):
    for category, kind in KINDS.items():
        masks = [filled(turned(glyph(category, shape, rng), 0).outline) for shape in kind.shapes]
        if category in ("expressway service area", "airport", "overpass", "tennis court", "basketball court"):
            continue
        for k, mask in enumerate(masks):
            for other in masks[:k]:
                assert (mask ^ other).sum() > 0.02 * (mask | other).sum(), category


def test_a_shadow_falls_away_from_the_sun(rng):
    drawing = turned(glyph("chimney", "round", rng), 0, half=20, middle=100)
    picture = np.full((300, 300, 3), 200, dtype=np.uint8)
    canvas = Image.fromarray(picture)
    paint(canvas, [(drawing, TINT)], scale=1.0, sun=(1.0, 0.0))
    dark = np.asarray(canvas).mean(axis=-1) < 170
    assert dark[100, 125:150].all()
    assert not dark[:, :76].any()
    assert not dark[:76].any()


def test_shadows_lie_below_every_object(rng):
    tower = turned(glyph("chimney", "square", rng), 0, half=20, middle=100)
    tank = placed(glyph("storage tank", "round", rng), 20 * np.eye(2), np.array([150.0, 100.0]))
    canvas = Image.new("RGB", (300, 300), (200, 200, 200))
    paint(canvas, [(tank, TINT), (tower, (40, 90, 200))], scale=1.0, sun=(1.0, 0.0))
    alone = Image.new("RGB", (300, 300), (200, 200, 200))
    paint(alone, [(flat(tank), TINT)], scale=1.0, sun=(1.0, 0.0))
    box = (139, 89, 161, 111)
    np.testing.assert_array_equal(np.asarray(canvas.crop(box)), np.asarray(alone.crop(box)))


def test_a_heightless_drawing_casts_no_shadow(rng):
    drawing = turned(glyph("ground track field", "oval", rng), 0, half=60)
    np.testing.assert_array_equal(painted(drawing, sun=(3.0, 3.0)), painted(drawing, sun=(0.0, 0.0)))


def test_placed_moves_points_and_scales_heights(rng):
    drawing = glyph("windmill", "three-bladed", rng)
    moved = placed(drawing, np.array([[0.0, -4.0], [9.0, 0.0]]), np.array([10.0, 20.0]))
    for part, before in zip(moved.parts, drawing.parts, strict=True):
        np.testing.assert_allclose(part.points[:, 0], 10 - 4 * before.points[:, 1])
        np.testing.assert_allclose(part.points[:, 1], 20 + 9 * before.points[:, 0])
        assert part.height == pytest.approx(6 * before.height)
        assert part.base == pytest.approx(6 * before.base)


def test_details_show_on_every_color():
    for tint in COLORS.values():
        for role in ("dark", "light", "mark"):
            assert np.abs(np.subtract(role_color(role, tint), tint)).max() > 25


def test_a_style_brings_its_own_palette():
    assert role_color("turf", (0, 0, 0), {**PALETTE, "turf": (9, 8, 7)}) == (9, 8, 7)
    with pytest.raises(KeyError, match="'plush'"):
        role_color("plush", (0, 0, 0))
