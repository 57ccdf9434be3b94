"""Nothing of a request is written to disk."""

import os
import tempfile

import httpx
import pytest
from PIL import Image

from tests.serve.bad_requests import BODIES, GOOD, REQUESTS
from tests.serve.conftest import data_url, user


@pytest.fixture
def unwritten_folder(tmp_path, monkeypatch):
    """The folder for temporary files and the current one at once; the test fails if anything was ever made in it."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    os.utime(tmp_path, (0, 0))
    yield
    assert list(tmp_path.iterdir()) == []
    assert tmp_path.stat().st_mtime == 0, "a file was made, and deleted again"


@pytest.mark.usefixtures("unwritten_folder")
@pytest.mark.parametrize("kind", ["PNG", "JPEG", "TIFF"])
@pytest.mark.parametrize("stream", [False, True])
def test_an_image_is_answered_about_without_a_file(address, kind, stream):
    image = Image.effect_noise((1200, 900), 60).convert("RGB")  # larger than what is spooled in memory
    request = {
        **GOOD, "messages": [user("<region>\nWhat?", data_url(image, kind))], "regions": [[0, 0, 90, 60]],
        "stream": stream,
    }  # fmt: skip
    response = httpx.post(f"{address}/v1/chat/completions", json=request, timeout=60)
    assert response.status_code == 200, response.text


@pytest.mark.usefixtures("unwritten_folder")
def test_a_bad_request_is_refused_without_a_file(address):
    place = f"{address}/v1/chat/completions"
    for name in ("truncated PNG", "truncated JPEG", "truncated TIFF", "GIF named PNG", "16 bits a channel"):
        assert httpx.post(place, json=REQUESTS[name][0], timeout=60).status_code == 400
    for body, kind, *_ in BODIES.values():
        assert httpx.post(place, content=body, headers={"content-type": kind}, timeout=60).status_code >= 400
