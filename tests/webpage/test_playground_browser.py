"""The running page, used in a browser with the mouse and the keyboard, on the bundled model."""

import re

import pytest
from PIL import Image

pytest.importorskip("gradio_image_annotation")

from mgimm_plugin.webpage.examples import examples

pytestmark = pytest.mark.slow

SIDE = 40
"""Of the boxes that are drawn, in pixels of the screen."""


def eventually(locator):
    from playwright.sync_api import expect

    return expect(locator)


def rows_of(visitor):
    return visitor.locator("#mg-regions .mg-row")


def pick_an_example(visitor):
    """Returns the number of its boxes."""
    visitor.locator("#mg-examples .thumbnail-item").first.click()
    eventually(rows_of(visitor)).to_have_count(len(examples()[0][1]))
    return len(examples()[0][1])


def describe_regions(visitor):
    visitor.get_by_role("button", name="Describe regions").click()
    eventually(rows_of(visitor).last.locator(".mg-sure")).to_contain_text("%")
    wait_for_the_last_word(visitor)


def describe_image(visitor):
    visitor.get_by_role("button", name="Describe image").click()
    eventually(visitor.locator("#mg-image .mg-sentence[tabindex]").first).to_be_visible()
    wait_for_the_last_word(visitor)


def wait_for_the_last_word(visitor):
    eventually(visitor.locator(".generating")).to_have_count(0)  # gradio's mark of what grows


def drag(visitor, start, end):
    """Draw, move or resize with the mouse."""
    visitor.mouse.move(*start)
    visitor.mouse.down()
    visitor.mouse.move(*end, steps=4)
    visitor.mouse.up()


def draw(visitor, left, top):
    """Draw a box at a part of the canvas; returns its first corner on the screen."""
    visitor.get_by_role("button", name="Create box").click()
    canvas = visitor.locator("#mg-canvas canvas").bounding_box()
    x, y = canvas["x"] + left * canvas["width"], canvas["y"] + top * canvas["height"]
    drag(visitor, (x, y), (x + SIDE, y + SIDE))
    return x, y


def test_a_visitor_draws_boxes_reads_corrects_and_exports(visitor):
    rows, given = rows_of(visitor), pick_an_example(visitor)
    for number, (left, top) in enumerate([(0.35, 0.1), (0.45, 0.6)], 1):
        draw(visitor, left, top)
        eventually(rows).to_have_count(given + number)
    describe_regions(visitor)
    eventually(rows.last.locator(".mg-phrase")).to_contain_text(re.compile(r"\w \w.*\."))
    visitor.get_by_role("button", name="Correct an answer").click()
    visitor.get_by_label("Region", exact=True).fill("2")
    visitor.get_by_label("What it really shows").fill("A round blue storage tank.")
    visitor.get_by_role("button", name="Correct this").click()
    eventually(rows.nth(1)).to_contain_text("A round blue storage tank.")
    visitor.get_by_role("button", name="Export").click()
    visitor.get_by_role("button", name="Make files").click()
    for name in ("annotated", "records", "coco", "report"):
        eventually(visitor.locator("#mg-files")).to_contain_text(name)
    for width in (1280, 390):
        visitor.set_viewport_size({"width": width, "height": 844})
        assert visitor.evaluate("document.documentElement.scrollWidth") <= width


# Numbers of the regions whose box, line and sentences are lit; sentences by what they speak of, as "1 3".
LIT = """() => {
    const numbers = (found, lit) => found.filter(lit).map(one => one.getAttribute("class").match(/(?<=mg-r)\\d+/g)
        .map(Number).sort((one, other) => one - other).join(" "));
    const all = selector => [...document.querySelectorAll(selector)];
    const probe = document.body.appendChild(document.createElement("i"));
    probe.style.background = "var(--color-accent-soft)";
    const accent = getComputedStyle(probe).backgroundColor;
    probe.remove();
    const filled = one => getComputedStyle(one).backgroundColor == accent;
    return {
        boxes: numbers(all(".mg-box"), one => getComputedStyle(one.querySelector("rect")).strokeWidth == "5px"),
        rows: numbers(all(".mg-row"), filled),
        sentences: numbers(all(".mg-sentence[tabindex]"), filled),
    };
}"""


def wait_until_lit(visitor, regions, spoken_of):
    """Wait until these regions are lit, and all of these sentences that speak of one of them."""
    sentences = [numbers for numbers in spoken_of if regions & set(numbers.split())]
    wanted = {"boxes": sorted(regions), "rows": sorted(regions), "sentences": sentences}
    visitor.wait_for_function(f"wanted => JSON.stringify(({LIT})()) == JSON.stringify(wanted)", arg=wanted)
    assert visitor.evaluate(LIT) == wanted


# The color of a point of the canvas, as #rrggbb.
COLOR_AT = """([x, y]) => {
    const canvas = document.querySelector("#mg-canvas canvas"), shown = canvas.getBoundingClientRect();
    const at = [(x - shown.x) * canvas.width / shown.width, (y - shown.y) * canvas.height / shown.height];
    const found = canvas.getContext("2d").getImageData(...at, 1, 1).data;
    return "#" + [...found.slice(0, 3)].map(part => part.toString(16).padStart(2, "0")).join("");
}"""


def test_a_box_has_the_color_that_it_was_drawn_in_everywhere(visitor):
    rows, given = rows_of(visitor), pick_an_example(visitor)
    for number, (left, top) in enumerate([(0.35, 0.1), (0.45, 0.6)], 1):
        x, y = draw(visitor, left, top)
        eventually(rows).to_have_count(given + number)
        color = visitor.evaluate(COLOR_AT, [x + SIDE / 2, y])
        for part in (rows.last, visitor.locator(".mg-box").last):
            eventually(part).to_have_attribute("style", re.compile(rf"--c:{color};"))


def test_box_line_and_sentences_light_up_under_the_mouse_and_with_the_keyboard(visitor):
    pick_an_example(visitor)
    describe_regions(visitor)
    describe_image(visitor)
    sentences = visitor.locator("#mg-image .mg-sentence[tabindex]")
    spoken_of = [" ".join(sorted(found.split())) for found in sentences.evaluate_all(NUMBERS)]
    for at, numbers in enumerate(spoken_of):
        for light_up in (sentences.nth(at).hover, sentences.nth(at).focus):
            light_up()
            wait_until_lit(visitor, set(numbers.split()), spoken_of)
            leave(visitor)
            wait_until_lit(visitor, set(), spoken_of)
    rows_of(visitor).first.focus()
    wait_until_lit(visitor, {"1"}, spoken_of)
    visitor.keyboard.press("Tab")
    wait_until_lit(visitor, {"2"}, spoken_of)


NUMBERS = 'found => found.map(one => [...one.querySelectorAll("sup")].map(mark => mark.textContent).join(" "))'


def leave(visitor):
    """Neither the mouse nor the keyboard is at anything."""
    visitor.mouse.move(1, 1)
    visitor.evaluate("document.activeElement.blur()")


# Whether the session's boxes are these, in their order: x, y, width and height in pixels of the image, to one pixel.
BOXES_ARE = """wanted => {
    const shown = [...document.querySelectorAll(".mg-box")].map(box => ["x", "y", "width", "height"].map(
        edge => Number(box.querySelector("rect").getAttribute(edge))));
    return shown.length == wanted.length
        && shown.every((box, at) => box.every((edge, side) => Math.abs(edge - wanted[at][side]) <= 1));
}"""


def test_boxes_are_moved_resized_and_deleted_and_what_was_said_of_them_follows(visitor, tmp_path):
    Image.effect_noise((300, 300), 60).convert("RGB").save(tmp_path / "scene.png")  # as large on the screen
    with visitor.expect_file_chooser() as chooser:
        visitor.get_by_role("button", name="Open a file").click()
    chooser.value.set_files(tmp_path / "scene.png")
    eventually(visitor.locator(".mg-picture svg")).to_be_visible()
    rows = rows_of(visitor)
    first_x, first_y = draw(visitor, 0.4, 0.2)
    eventually(rows).to_have_count(1)
    x, y = draw(visitor, 0.5, 0.5)
    eventually(rows).to_have_count(2)
    describe_regions(visitor)
    said = rows.first.locator(".mg-phrase").text_content()
    # The second box begins in the middle of the image, whose place on the screen is the first one's too.
    first, second = (150 + first_x - x, 150 + first_y - y, SIDE, SIDE), (150, 150, SIDE, SIDE)
    visitor.wait_for_function(BOXES_ARE, arg=[first, second])

    visitor.get_by_role("button", name="Drag boxes").click()
    drag(visitor, (x + SIDE / 2, y + SIDE / 2), (x + SIDE / 2 + 30, y + SIDE / 2 - 20))
    visitor.wait_for_function(BOXES_ARE, arg=[first, (180, 130, SIDE, SIDE)])
    eventually(rows.last).to_contain_text("not described yet")
    eventually(rows.first.locator(".mg-phrase")).to_have_text(said)

    drag(visitor, (x + SIDE + 30, y + SIDE - 20), (x + SIDE + 50, y + SIDE - 10))
    visitor.wait_for_function(BOXES_ARE, arg=[first, (180, 130, SIDE + 20, SIDE + 10)])

    visitor.locator(".annotator-container").press("Delete")
    eventually(rows).to_have_count(1)
    visitor.wait_for_function(BOXES_ARE, arg=[first])
    eventually(rows.first.locator(".mg-phrase")).to_have_text(said)
    assert said != "not described yet"
