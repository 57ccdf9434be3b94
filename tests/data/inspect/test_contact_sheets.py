"""A contact sheet shows the records that were asked for: each box, each text, and what cannot be shown."""

import base64
import html
import io
import json
import re
from collections import Counter

import numpy as np
import pytest
from PIL import Image

from mgimm_plugin.data.inspect.contact_sheet import COLORS, choose_records, load_picture, make_tiles, place_tags
from mgimm_plugin.data.inspect.sheet_page import write_page
from mgimm_plugin.data.inspect.sheet_picture import TILE_WIDTH, draw_sheet, ink_on
from tests.data.inspect.samples import image_record, region_record, save_image, turns, write_lines

GRAY = (201, 206, 203)


def tiles_of(tmp_path, records, count=24, **options):
    choice = choose_records([write_lines(tmp_path / "data.jsonl", records)], count, **options)
    tiles = make_tiles(choice.chosen)
    for tile in tiles:
        load_picture(tile)
    return tiles


def page_of(tmp_path, tiles):
    write_page(tiles, tmp_path / "index.html", title="A <title>", subtitle="of & for")
    return (tmp_path / "index.html").read_text(encoding="utf-8")


def sheet_of(tmp_path, tiles):
    draw_sheet(tiles, tmp_path / "sheet.png", title="A title", subtitle="and more")
    return Image.open(tmp_path / "sheet.png").convert("RGB")


def test_the_first_records_or_a_fair_draw(tmp_path):
    lines = [region_record(f"r{i}") if i % 5 else "no json" for i in range(20)]
    path = write_lines(tmp_path / "data.jsonl", lines)
    first = choose_records([path], 4)
    assert [item.record.id for item in first.chosen] == ["r1", "r2", "r3", "r4"]
    assert first.bad == 1
    assert len(choose_records([path], 99).chosen) == 16
    drawn: Counter[str] = Counter()
    for seed in range(400):
        ids = [item.record.id for item in choose_records([path], 4, seed=seed).chosen]
        assert len(set(ids)) == 4
        assert ids == sorted(ids, key=lambda name: int(name[1:]))
        drawn.update(ids)
    assert choose_records([path], 4, seed=7) == choose_records([path], 4, seed=7)
    # Each of 16 is drawn in a quarter of 400 draws: 100 times, give or take 9.
    assert len(drawn) == 16
    assert all(60 < count < 140 for count in drawn.values())


def test_a_record_behind_bad_lines_has_the_chance_of_one_before_them(tmp_path):
    path = write_lines(tmp_path / "data.jsonl", [region_record("a"), *["no json"] * 20, region_record("b")])
    drawn = Counter(choose_records([path], 1, seed=seed).chosen[0].record.id for seed in range(400))
    # Half of 400 draws, give or take 10.
    assert 150 < drawn["a"] < 250
    assert choose_records([path], 3, seed=0).bad == 20


def test_records_of_one_image_share_a_tile_and_a_box_its_number(tmp_path):
    save_image(tmp_path / "a.png")
    records = [
        region_record(
            "plain", regions=[{"bbox": [50, 5, 88, 55]}], conversations=turns("<region>\nWhat?", "It is big.")
        ),
        region_record("other", image="b.png"),
        image_record("i0"),
        region_record("r0"),
        {"id": "t", "conversations": turns("Hello", "Hi")},
    ]
    one, other, text = tiles_of(tmp_path, records)
    assert [(mark.number, mark.label) for mark in one.marks] == [(1, "harbor"), (2, "A gray ship")]
    assert [(said.question, said.answer) for said in one.said] == [
        ("What?", "It is big."),
        ("Describe the image.", "A ship beside a harbor."),
    ]
    assert [mark.number for mark in one.said[0].marks] == [1]
    assert one.said[1].marks == ()
    assert (one.size, one.reason) == ((90, 60), None)
    assert "does not exist" in other.reason
    assert (text.path, text.title) == (None, "t")


def test_regions_within_a_question_are_told_by_their_numbers(tmp_path):
    record = image_record(
        conversations=turns("<region>\nWhat is it?", "A ship.", "What is beside <region>?", "A ship.", "Why?")
    )
    (tile,) = tiles_of(tmp_path, [record])
    assert [(said.question, said.answer) for said in tile.said] == [
        ("What is it?", "A ship."),
        ("What is beside [2]?", "A ship."),
        ("Why?", ""),
    ]


def test_a_question_without_an_answer_is_shown_though_its_region_has_no_label(tmp_path):
    record = region_record(regions=[{"bbox": [10, 10, 40, 30]}], conversations=turns("<region>\nWhat is it?"))
    (tile,) = tiles_of(tmp_path, [record])
    assert [(said.question, said.answer) for said in tile.said] == [("What is it?", "")]
    assert "What is it?" in page_of(tmp_path, [tile])


def test_boxes_are_drawn_where_they_are_and_numbers_beside_them(tmp_path):
    save_image(tmp_path / "a.png")
    polygon = [[50, 5], [88, 30], [50, 55]]
    record = image_record(
        regions=[{"bbox": [10, 20, 40, 50]}, {"bbox": [50, 5, 88, 55], "polygon": polygon}],
        conversations=turns("<image>\nWhat?", "This."),
    )
    tiles = tiles_of(tmp_path, [record])
    pixels = np.array(sheet_of(tmp_path, tiles))
    scale, left, top = TILE_WIDTH / 90, 40, 126

    def near(x, y, color):
        row, column = round(top + y * scale), round(left + x * scale)
        wanted = np.array([int(color[i : i + 2], 16) for i in (1, 3, 5)])
        return (pixels[row - 3 : row + 4, column - 3 : column + 4] == wanted).all(axis=-1).any()

    for x, y in ((10, 35), (40, 35), (25, 20), (25, 50)):
        assert near(x, y, COLORS[0])
        assert not near(x, y, COLORS[1])
    for x, y in ((69, 17.5), (69, 42.5), (50, 40), (88, 50)):
        assert near(x, y, COLORS[1])
    # The number stands above the box and hides nothing of it.
    assert near(11, 18.5, COLORS[0])
    assert not near(20, 30, COLORS[0])
    # Every pixel of the picture that is no box, number or rim is the image's.
    assert tuple(pixels[top + 200, left + 100]) == (90, 120, 80)


def test_what_cannot_be_shown_is_a_gray_tile_with_the_reason(tmp_path):
    (tmp_path / "text.png").write_text("no image")
    records = [
        region_record("gone", image="gone.png"),
        region_record("text", image="text.png", width=None, height=None, regions=[{"bbox": [900, 10, 2000, 500]}]),
    ]
    tiles = tiles_of(tmp_path, records)
    assert tiles[0].size == (90, 60)
    # The frame of boxes in an image of unknown size holds them all.
    assert tiles[1].size[0] > 2000
    sheet = sheet_of(tmp_path, tiles)
    assert sheet.getpixel((50, 136)) == GRAY
    page = html.unescape(page_of(tmp_path, tiles))
    assert "gone.png does not exist" in page
    assert "text.png is not an image" in page
    assert page.count("<article") == 2
    assert "<image" not in page


def test_the_reason_for_a_gray_tile_hides_no_number(tmp_path):
    question = turns("<region>\nWhat?", "A ship.")
    record = region_record(image="gone.png", regions=[{"bbox": [35, 30, 55, 40]}], conversations=question)
    tiles = tiles_of(tmp_path, [record])
    sheet = sheet_of(tmp_path, tiles)
    scale, left, top = TILE_WIDTH / 90, 40, 126
    ((x, y, width),) = place_tags(tiles[0].marks, (90, 60), 18 / scale)
    rows = slice(round(top + y * scale) + 2, round(top + y * scale) + 16)
    tag = np.array(sheet)[rows, round(left + x * scale) + 2 : round(left + (x + width) * scale) - 2]
    color = np.array([int(COLORS[0][i : i + 2], 16) for i in (1, 3, 5)])
    assert (tag == color).all(axis=-1).mean() > 0.5
    assert re.search(r'<p class="why">image .*gone\.png does not exist</p>', page_of(tmp_path, tiles))


def test_the_page_needs_nothing_beside_it_and_shows_texts_as_texts(tmp_path):
    save_image(tmp_path / "a.png")
    nasty = "</p><script>alert(1)</script> & \"quoted\" 'text'"
    record = image_record(
        nasty,
        regions=[{"bbox": [1, 1, 9, 9], "phrase": nasty, "category": nasty}],
        conversations=turns(f"<image>\n<region>\n{nasty}", nasty),
    )
    page = page_of(tmp_path, tiles_of(tmp_path, [record, {"id": nasty, "conversations": turns(nasty, nasty)}]))
    assert "<script" not in page
    assert "<h1>A &lt;title&gt;</h1>" in page
    assert html.unescape(page).count(nasty) == 6
    # Nothing is fetched: the only addresses are pictures inside the page.
    assert re.findall(r"(?:src|href)=\"(.{10})", page) == ["data:image"]
    assert "url(" not in page
    assert "@import" not in page
    (data,) = re.findall(r"data:image/jpeg;base64,([^\"]+)", page)
    assert Image.open(io.BytesIO(base64.b64decode(data))).size == (90, 60)
    assert 'content="light dark"' in page
    assert "width=device-width" in page


def test_large_images_and_many_regions_make_a_small_page(tmp_path):
    save_image(tmp_path / "large.png", size=(3000, 2000))
    regions = [{"bbox": [i * 5, 10, i * 5 + 4, 15], "category": "car"} for i in range(500)]
    record = image_record(
        image="large.png",
        width=3000,
        height=2000,
        regions=regions,
        conversations=turns("<image>\nWhat?", "Cars. " * 500),
    )
    (tile,) = tiles = tiles_of(tmp_path, [record])
    assert max(tile.picture.size) == 800
    assert tile.size == (3000, 2000)
    page = page_of(tmp_path, tiles)
    assert len(page) < 500_000
    assert "492 more" in page
    assert sheet_of(tmp_path, tiles).height < 1500


def test_extreme_boxes_can_be_drawn(tmp_path):
    save_image(tmp_path / "a.png")
    save_image(tmp_path / "thin.png", size=(2000, 3))
    boxes = [{"bbox": box} for box in ([-1e308, -1e308, 1e308, 1e308], [0, 0, 1e-9, 1e-9], [500, 500, 600, 600])]
    question = turns("<image>\nWhat?", "x" * 400)
    records = [image_record(str(i), image=name, width=None, height=None, regions=boxes, conversations=question)
               for i, name in enumerate(("a.png", "gone.png", "thin.png"))]  # fmt: skip
    tiles = tiles_of(tmp_path, records)
    sheet_of(tmp_path, tiles)
    assert page_of(tmp_path, tiles).count("<article") == 3


def test_numbers_stay_in_the_image_and_off_each_other(tmp_path):
    boxes = [[0, 0, 20, 20], [22, 0, 40, 20], [0, 22, 20, 40], [70, 40, 90, 60], [0, 0, 90, 60]]
    record = image_record(regions=[{"bbox": box} for box in boxes], conversations=turns("<image>\nWhat?", "This."))
    (tile,) = tiles_of(tmp_path, [record])
    tags = place_tags(tile.marks, (90, 60), 6.0)
    assert all(tag is not None for tag in tags)
    for x, y, width in tags:
        assert 0 <= x <= 90 - width
        assert 0 <= y <= 54
    for i, (x, y, width) in enumerate(tags):
        for other in tags[:i]:
            apart_across = x + width <= other[0] or other[0] + other[2] <= x
            assert apart_across or abs(y - other[1]) >= 6
    crowd = tiles_of(tmp_path, [image_record(regions=[{"bbox": [40, 30, 42 + i / 9, 32]} for i in range(40)],
                                             conversations=turns("<image>\nWhat?", "This."))])[0]  # fmt: skip
    assert None in place_tags(crowd.marks, (90, 60), 20.0)


def test_a_number_is_readable_on_its_color():
    def luminance(color):
        parts = [int(color[i : i + 2], 16) / 255 for i in (1, 3, 5)]
        parts = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
        return 0.2126 * parts[0] + 0.7152 * parts[1] + 0.0722 * parts[2]

    for color in COLORS:
        light, dark = sorted((luminance(color), luminance(ink_on(color))), reverse=True)
        # WCAG AA for text.
        assert (light + 0.05) / (dark + 0.05) >= 4.5, color


@pytest.mark.parametrize("seed", [None, 3])
def test_an_array_is_chosen_from_as_well(tmp_path, seed):
    path = tmp_path / "data.json"
    path.write_text(json.dumps([region_record(f"r{i}") for i in range(9)]))
    assert len(choose_records([path, path], 12, seed=seed).chosen) == 12
