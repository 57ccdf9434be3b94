"""The running page, asked by gradio's client, on the bundled model."""

import re
import socket
import tempfile
import time
from pathlib import Path

import httpx
import pytest
from PIL import Image
from typer.testing import CliRunner

pytest.importorskip("gradio_image_annotation")

from mgimm_plugin.cli import app
from mgimm_plugin.webpage.examples import examples
from mgimm_plugin.webpage.session import COLORS
from tests.webpage.conftest import client_of, drawing

SETTINGS = ("mgimm-mini", "auto", "auto", 0, 1, 40)


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


def test_what_is_too_much_for_the_model_is_told_with_what_a_visitor_can_do(address, tmp_path):
    from gradio_client import handle_file

    client = client_of(address)
    Image.new("RGB", (7500, 5)).save(tmp_path / "long.png")
    long = {**drawing([]), "image": handle_file(tmp_path / "long.png")}
    with pytest.raises(Exception, match=r"too elongated .* limit of 50000000 pixels: cut it into tiles"):
        client.predict(long, True, *SETTINGS, api_name="/describe_image")
    with pytest.raises(Exception, match=r"the question takes .* tokens.*: lower Longest answer.* New conversation"):
        client.predict("ŷ" * 900, drawing([]), *SETTINGS[:-1], 400, api_name="/chat")


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


def test_opening_a_file_leaves_equal_files_of_other_visitors_and_the_examples_alone(address, tmp_path):
    Image.effect_noise((40, 30), 60).convert("RGB").save(tmp_path / "a.tif")
    for path in (tmp_path / "a.tif", Path(examples()[0][0])):
        with Image.open(path) as image:
            size = image.size
        uploads = [
            httpx.post(f"{address}gradio_api/upload", files={"files": (path.name, path.read_bytes())}).json()[0]
            for _visitor in range(2)
        ]
        for upload in uploads:  # of equal files, gradio keeps one
            value = client_of(address).predict(
                {"path": upload, "meta": {"_type": "gradio.FileData"}}, api_name="/open_file"
            )
            assert Image.open(value["image"]).size == size
    gallery = next(part for part in httpx.get(f"{address}config").json()["components"] if part["type"] == "gallery")
    for example in gallery["props"]["value"]:
        assert httpx.get(f"{address}gradio_api/file={example['image']['path']}").status_code == 200


def test_boxes_that_a_program_sends_are_told_apart_by_their_colors(address):
    client, given = client_of(address), drawing([(9, 39, 49, 80), (150, 14, 216, 80)])
    given["boxes"][0]["color"] = "rgb(1, 2, 3)"  # of the last one
    value = client.predict(given, "10 20 40 60", api_name="/paste_boxes")
    for boxes in (given["boxes"], value["boxes"][1:]):  # as they were sent, and as they came back
        table = client.predict({**given, "boxes": boxes}, *SETTINGS[:-1], 8, api_name="/describe_regions")
        assert re.findall(r"--c:(#\w+)", table) == [COLORS[0], "#010203"]


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
    table, *_ = client.predict(image, 2, "A round blue storage tank.", api_name="/correct")
    assert "A round blue storage tank." in table
    _, told, _ = client.predict(image, 0, "Two tanks beside a road.", api_name="/correct")
    assert "Two tanks beside a road." in told


@pytest.mark.parametrize(
    ("template", "temperature", "beams", "sure"),
    [("mgimm_plain", 0, 1, r"\d+%"), ("auto", 1.5, 1, r"\d+%"), ("auto", 0, 2, "")],
    ids=["another template", "temperature", "beams"],
)
def test_every_setting_gets_an_answer(address, template, temperature, beams, sure):
    settings = ("mgimm-mini", "auto", template, temperature, beams, 40)
    client, given = client_of(address), drawing([(9, 39, 49, 80), (150, 14, 216, 80)])
    table = client.predict(given, *settings, api_name="/describe_regions")
    assert len(re.findall(r'class="mg-phrase">\w', table)) == 2
    confidences = re.findall(r'class="mg-sure[^>]*>([^<]*)<', table)
    assert [re.fullmatch(sure, confidence) is not None for confidence in confidences] == [True] * 2
    described = client.predict(given, True, *settings, api_name="/describe_image")
    assert re.search(r'class="mg-sentence[^>]*>\w', described)


def test_a_port_that_is_in_use_is_told_in_one_line():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        result = CliRunner().invoke(app, ["playground", "--port", port])
    assert result.exit_code == 1
    assert result.stderr == f"mgimm playground: port {port} is in use; choose another --port\n"
