"""A tiny model behind the endpoint, and requests to it."""

import base64
import io
import socket
import threading
import time
from contextlib import contextmanager

import pytest
import torch
from PIL import Image

from mgimm_plugin.predictor import Predictor

pytest.importorskip("fastapi")
pytest.importorskip("prometheus_client")


@pytest.fixture(scope="session")
def tiny_predictor(tiny_loaded):
    return Predictor(tiny_loaded)


class HeldPredictor(Predictor):
    """The model, which begins a batch when it is let go, and counts its tokens."""

    def __init__(self, loaded):
        super().__init__(loaded)
        self.asked, self.let_go, self.tokens = threading.Event(), threading.Event(), 0

    def answer(self, questions, *, on_token, **options):
        self.asked.set()
        assert self.let_go.wait(60)

        def count(at, token, log_probability):
            self.tokens += 1
            return on_token(at, token, log_probability)

        return super().answer(questions, on_token=count, **options)


@pytest.fixture
def held(tiny_loaded):
    held = HeldPredictor(tiny_loaded)
    yield held
    held.let_go.set()


@pytest.fixture(scope="session")
def noise():
    """Makes pictures of which no two are alike."""

    def pictures(count):
        generator = torch.Generator().manual_seed(5)
        pixels = torch.randint(0, 256, (count, 60, 90, 3), generator=generator, dtype=torch.uint8)
        return [Image.fromarray(each.numpy()) for each in pixels]

    return pictures


@pytest.fixture(scope="session")
def pictures(noise):
    return noise(6)


def data_url(image, kind="PNG"):
    content = io.BytesIO()
    image.save(content, kind)
    return f"data:image/{kind.lower()};base64,{base64.b64encode(content.getvalue()).decode()}"


def user(text, url=None):
    """A message of the user, with an image."""
    image = [] if url is None else [{"type": "image_url", "image_url": {"url": url}}]
    return {"role": "user", "content": [{"type": "text", "text": text}, *image]}


@contextmanager
def client_of(predictor, **settings):
    from fastapi.testclient import TestClient

    from mgimm_plugin.serve.app import create_app

    with TestClient(create_app(predictor, "tiny", **settings)) as client:
        yield client


@contextmanager
def running(predictor, **settings):
    """The endpoint on a port of this machine; its address."""
    import uvicorn

    from mgimm_plugin.serve.app import create_app
    from mgimm_plugin.serve.listening import Server

    with socket.create_server(("127.0.0.1", 0)) as listener:
        server = Server(uvicorn.Config(create_app(predictor, "tiny", **settings), log_level="warning"))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        try:
            while not server.started:
                time.sleep(0.01)
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            server.should_exit = True
            thread.join()


@pytest.fixture(scope="module")
def client(tiny_predictor):
    with client_of(tiny_predictor) as client:
        yield client


@pytest.fixture(scope="module")
def address(tiny_predictor):
    with running(tiny_predictor) as address:
        yield address
