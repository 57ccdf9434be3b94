"""The running page: asked by gradio's client, and used in a browser, on the bundled model."""

import re
import shutil
import tempfile
import time
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
def address(page):
    return page[1]


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    blocks, address = launch(corrections=tmp_path_factory.mktemp("kept") / "corrections.jsonl", blocking=False)
    yield blocks, address
    blocks.close()


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
        second.predict(drawing([(9, 39, 49, 80), (150, 14, 216, 80)]), api_name="/export")
    assert len(first.predict(drawing([(9, 39, 49, 80)]), api_name="/export")) == 5
    assert not list(Path(tempfile.gettempdir()).glob("mgimm-export-*"))


def test_what_is_wrong_is_told_in_plain_words(address):
    client = client_of(address)
    with pytest.raises(Exception, match="there are no boxes"):
        client.predict(drawing([]), *SETTINGS, api_name="/describe_regions")
    with pytest.raises(Exception, match="no region 2"):
        client.predict("Is region 2 red?", drawing([(9, 39, 49, 80)]), *SETTINGS, api_name="/chat")
    with pytest.raises(Exception, match="1,500 characters"):
        client.predict("a" * 1500, drawing([]), *SETTINGS, api_name="/chat")
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
    event = httpx.post(f"{address}gradio_api/call/export", json={"data": [{"image": image, "boxes": []}, None]}).json()[
        "event_id"
    ]
    told = httpx.get(f"{address}gradio_api/call/export/{event}", timeout=60).text
    assert "not loaded from the web" in told


def test_a_file_that_was_not_uploaded_is_not_opened(address):
    image = {"path": str(examples()[0][0]), "meta": {"_type": "gradio.FileData"}}
    event = httpx.post(f"{address}gradio_api/call/export", json={"data": [{"image": image, "boxes": []}, None]}).json()[
        "event_id"
    ]
    assert "event: error" in httpx.get(f"{address}gradio_api/call/export/{event}", timeout=60).text


def test_no_part_of_the_page_that_opens_files_takes_more_than_uploads(page):
    taken = {type(given).__name__ for function in page[0].fns.values() for given in function.inputs}
    assert taken == {"image_annotator", "UploadButton", "State", "Textbox", "Number", "Slider", "Dropdown", "Checkbox"}


@pytest.mark.parametrize("place", ["gradio_api/run/export", "gradio_api/run/describe_regions", "api/export"])
def test_no_request_passes_by_the_queue(address, place):
    assert httpx.post(f"{address}{place}", json={"data": [None, None]}).status_code == 404


def test_there_is_no_history_and_no_monitoring(address):
    assert not httpx.get(f"{address}config").json()["run_history"]
    for place in ("gradio_api/runs", "monitoring", "monitoring/summary"):
        assert httpx.get(f"{address}{place}").status_code >= 400


def test_uploads_are_limited_together_and_not_by_one(address):
    body = [("files", (f"{number}.png", b"0" * 2_000_000)) for number in range(12)]
    assert httpx.post(f"{address}gradio_api/upload", files=body, timeout=60).status_code == 413
    assert httpx.post(f"{address}gradio_api/upload", content=iter([b"a"])).status_code == 411


def test_an_upload_is_deleted_once_it_is_shown(address, tmp_path):
    Image.effect_noise((40, 30), 60).convert("RGB").save(tmp_path / "a.tif")
    with (tmp_path / "a.tif").open("rb") as file:
        (kept,) = httpx.post(f"{address}gradio_api/upload", files={"files": file}).json()
    assert Path(kept).exists()
    value = client_of(address).predict({"path": kept, "meta": {"_type": "gradio.FileData"}}, api_name="/open_file")
    assert Image.open(value["image"]).size == (40, 30)
    assert not Path(kept).exists()


def test_more_boxes_than_a_batch_of_others_has(address):
    boxes = [(x, y, x + 30, y + 30) for x in range(0, 200, 40) for y in range(0, 160, 40)]
    table = client_of(address).predict(drawing(boxes), *SETTINGS[:-1], 8, api_name="/describe_regions")
    assert len(re.findall(r'class="mg-sure[^>]*>\d+%', table)) == len(boxes) == 20


def test_the_image_is_described_with_and_without_its_boxes_side_by_side(address):
    given = drawing([(9, 39, 49, 80)])
    left, right = client_of(address).predict(given, "mgimm-mini", *SETTINGS, api_name="/compare")
    guided = client_of(address).predict(given, True, *SETTINGS, api_name="/describe_image")
    alone = client_of(address).predict(given, False, *SETTINGS, api_name="/describe_image")
    words = [" ".join(re.sub(r"<sup.*?</sup>|<[^>]+>", "", told).split()) for told in (guided, alone)]
    assert words == [left, right]


def test_a_stopped_answer_leaves_the_model_to_the_next(address):
    client = client_of(address)
    job = client.submit(drawing([]), False, *SETTINGS[:-1], 400, api_name="/describe_image")
    while not job.outputs():
        assert not job.done()
        time.sleep(0.05)
    job.cancel()
    assert "mg-sentence" in client.predict(drawing([]), False, *SETTINGS, api_name="/describe_image")


def test_who_comes_when_the_queue_is_full_is_told_so(address):
    client = client_of(address)
    jobs = [client.submit(drawing([]), False, *SETTINGS[:-1], 16, api_name="/describe_image") for _ in range(24)]
    failures = [error for error in (job.exception() for job in jobs) if error is not None]
    assert 0 < len(failures) < len(jobs)
    assert all("full" in str(error) for error in failures)


def test_names_that_lead_here_from_elsewhere_are_refused(address):
    assert httpx.get(address, headers={"host": "evil.example"}).status_code == 400


def test_a_conversation_goes_on_and_a_correction_is_kept(address):
    client, image = client_of(address), drawing([(9, 39, 49, 80), (150, 14, 216, 80)])
    client.predict("What is in region 2?", image, *SETTINGS, api_name="/chat")
    shown, _ = client.predict("And what is between region 1 and region 2?", image, *SETTINGS, api_name="/chat")
    assert [message["role"] for message in shown] == ["user", "assistant"] * 2
    client.predict(api_name="/new_conversation")
    shown, _ = client.predict("What is in region 1?", image, *SETTINGS, api_name="/chat")
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
