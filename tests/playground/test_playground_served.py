"""The running page: asked by gradio's client, and used in a browser, on the bundled model."""

import re
import shutil
import tempfile
from pathlib import Path

import httpx
import pytest
from PIL import Image

pytest.importorskip("gradio_image_annotation")

from mgimm_plugin.webpage.examples import examples
from mgimm_plugin.webpage.launch import launch

CHROMIUM = shutil.which("chromium")
SETTINGS = ("mgimm-mini", "auto", "auto", 0, 1, 40)


@pytest.fixture(scope="module")
def address(tmp_path_factory):
    page, address = launch(corrections=tmp_path_factory.mktemp("kept") / "corrections.jsonl", blocking=False)
    yield address
    page.close()


def drawing(boxes):
    from gradio_client import handle_file

    corners = [dict(zip(("xmin", "ymin", "xmax", "ymax"), box, strict=True)) for box in reversed(boxes)]
    return {"image": handle_file(examples()[0][0]), "boxes": corners, "orientation": 0}


def client_of(address):
    from gradio_client import Client

    return Client(address, verbose=False)


def test_a_client_gets_a_line_for_each_box_and_nothing_of_another_visitor(address):
    first, second = client_of(address), client_of(address)
    table = first.predict(drawing([(9, 39, 49, 80), (150, 14, 216, 80)]), *SETTINGS, api_name="/describe_regions")
    assert len(re.findall(r'class="mg-row', table)) == 2
    assert re.search(r"\d+%", table)
    with pytest.raises(Exception, match="nothing to export"):
        second.predict(drawing([(9, 39, 49, 80), (150, 14, 216, 80)]), "mgimm-mini", api_name="/export")
    assert len(first.predict(drawing([(9, 39, 49, 80)]), "mgimm-mini", api_name="/export")) == 5
    assert not list(Path(tempfile.gettempdir()).glob("mgimm-export-*"))


def test_what_is_wrong_is_told_in_plain_words(address):
    client = client_of(address)
    with pytest.raises(Exception, match="there are no boxes"):
        client.predict(drawing([]), *SETTINGS, api_name="/describe_regions")
    with pytest.raises(Exception, match="no region 2"):
        client.predict("Is region 2 red?", drawing([(9, 39, 49, 80)]), [], *SETTINGS, api_name="/chat")
    with pytest.raises(Exception, match="1,500 characters"):
        client.predict("a" * 1500, drawing([]), [], *SETTINGS, api_name="/chat")
    with pytest.raises(Exception, match="400"):
        client.predict(drawing([]), True, *SETTINGS[:-1], 10**6, api_name="/describe_image")
    with pytest.raises(Exception, match="/etc"):
        client.predict(drawing([]), True, "/etc", *SETTINGS[1:], api_name="/describe_image")


def test_pasted_boxes_join_those_that_are_drawn_on_the_same_picture(address):
    given = drawing([(9, 39, 49, 80)])
    value = client_of(address).predict(given, "10 20 40 60", api_name="/paste_boxes")
    assert [box["xmin"] for box in value["boxes"]] == [10, 9]
    assert Image.open(value["image"]).tobytes() == Image.open(examples()[0][0]).convert("RGB").tobytes()
    assert not list(Path(tempfile.gettempdir()).glob("mgimm-image-*"))


@pytest.mark.parametrize("place", ["http://127.0.0.1:1/a.png", "HTTPS://example.com/a.png"])
def test_images_are_not_loaded_from_the_web(address, place):
    image = {"path": place, "meta": {"_type": "gradio.FileData"}}
    event = httpx.post(
        f"{address}gradio_api/call/export", json={"data": [{"image": image, "boxes": []}, None, "mgimm-mini"]}
    ).json()["event_id"]
    told = httpx.get(f"{address}gradio_api/call/export/{event}", timeout=60).text
    assert "not loaded from the web" in told


def test_a_file_that_was_not_uploaded_is_not_opened(address):
    image = {"path": str(examples()[0][0]), "meta": {"_type": "gradio.FileData"}}
    event = httpx.post(
        f"{address}gradio_api/call/export", json={"data": [{"image": image, "boxes": []}, None, "mgimm-mini"]}
    ).json()["event_id"]
    assert "event: error" in httpx.get(f"{address}gradio_api/call/export/{event}", timeout=60).text


def test_names_that_lead_here_from_elsewhere_are_refused(address):
    assert httpx.get(address, headers={"host": "evil.example"}).status_code == 400


def test_a_conversation_goes_on_and_a_correction_is_kept(address):
    client, image = client_of(address), drawing([(9, 39, 49, 80), (150, 14, 216, 80)])
    shown, _ = client.predict("What is in region 2?", image, [], *SETTINGS, api_name="/chat")
    shown, _ = client.predict("And what is between region 1 and region 2?", image, shown, *SETTINGS, api_name="/chat")
    assert [message["role"] for message in shown] == ["user", "assistant"] * 2
    client.predict(api_name="/new_conversation")
    shown, _ = client.predict("What is in region 1?", image, [], *SETTINGS, api_name="/chat")
    assert len(shown) == 2
    table, _ = client.predict(image, 2, "A round blue storage tank.", api_name="/correct")
    assert "A round blue storage tank." in table


@pytest.mark.slow
@pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium")
def test_a_visitor_draws_boxes_reads_corrects_and_exports(address):
    sync_api = pytest.importorskip("playwright.sync_api")
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 1280, "height": 900})
        page.set_default_timeout(120_000)
        sync_api.expect.set_options(timeout=120_000)
        page.goto(address)
        page.locator("#mg-examples .thumbnail-item").first.click()
        rows, given = page.locator("#mg-regions .mg-row"), len(examples()[0][1])
        sync_api.expect(rows).to_have_count(given)
        for number, (left, top) in enumerate([(0.35, 0.1), (0.45, 0.6)], 1):
            draw(page, left, top)
            sync_api.expect(rows).to_have_count(given + number)
        page.get_by_role("button", name="Describe regions").click()
        sync_api.expect(rows.last.locator(".mg-sure")).to_contain_text("%")
        sync_api.expect(rows.last.locator(".mg-phrase")).to_contain_text(re.compile(r"\w \w.*\."))
        page.get_by_role("button", name="Describe image").click()
        page.locator("#mg-image .mg-sentence[tabindex]").first.hover()
        page.wait_for_function(LIT)
        page.get_by_role("button", name="Correct an answer").click()
        page.get_by_label("Region", exact=True).fill("2")
        page.get_by_label("What it really shows").fill("A round blue storage tank.")
        page.get_by_role("button", name="Correct this").click()
        sync_api.expect(rows.nth(1)).to_contain_text("A round blue storage tank.")
        page.get_by_role("button", name="Export").click()
        page.get_by_role("button", name="Make files").click()
        for name in ("annotated", "records", "coco", "report"):
            sync_api.expect(page.locator("#mg-files")).to_contain_text(name)
        for width in (1280, 390):
            page.set_viewport_size({"width": width, "height": 844})
            assert page.evaluate("document.documentElement.scrollWidth") <= width
        browser.close()


LIT = "[...document.querySelectorAll('.mg-box > rect')].some(box => getComputedStyle(box).strokeWidth == '5px')"


def draw(page, left, top):
    """Draw a box at a part of the canvas and leave it without a label."""
    canvas = page.locator("#mg-canvas canvas")
    page.get_by_role("button", name="Create box").click()
    box = canvas.bounding_box()
    x, y = box["x"] + left * box["width"], box["y"] + top * box["height"]
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x + 40, y + 40, steps=4)
    page.mouse.up()
    page.get_by_role("button", name="OK", exact=True).click()
