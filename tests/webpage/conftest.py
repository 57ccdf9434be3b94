"""The page, served; what a program sends to it; and a browser."""

import os
import shutil
import threading
from contextlib import contextmanager

import pytest


@contextmanager
def serving(folder, *models):
    """The page and its address; corrections are kept in ``folder``."""
    from mgimm_plugin.webpage.launch import launch

    page, address = launch([str(model) for model in models], corrections=folder / "corrections.jsonl", blocking=False)
    try:
        yield page, address
    finally:
        page.close()
        wait_for_loading()  # what transformers changes while it loads would reach the next test


def wait_for_loading():
    """Until no model is being loaded any more."""
    for thread in threading.enumerate():
        if thread.name == "model loading":
            thread.join()


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    """The page over the bundled model, and its address."""
    with serving(tmp_path_factory.mktemp("kept")) as served:
        yield served


@pytest.fixture(scope="module")
def address(page):
    return page[1]


def drawing(boxes):
    """The first example with these boxes, as the drawing component sends it."""
    from gradio_client import handle_file

    from mgimm_plugin.webpage.examples import examples

    corners = [dict(zip(("xmin", "ymin", "xmax", "ymax"), box, strict=True)) for box in reversed(boxes)]
    return {"image": handle_file(examples()[0][0]), "boxes": corners, "orientation": 0}


def client_of(address):
    from gradio_client import Client

    return Client(address, verbose=False)


@pytest.fixture(scope="module")
def browser():
    executable = shutil.which("chromium")
    if executable is None:
        _leave_out("there is no Chromium")
    try:
        from playwright import sync_api
    except ImportError:
        _leave_out("playwright is not installed")
    sync_api.expect.set_options(timeout=120_000)
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=executable, args=["--no-sandbox"])
        yield browser
        browser.close()


def _leave_out(reason):
    """Skip, but fail where MGIMM_NEED_BROWSER is set: continuous integration must not pass without these tests."""
    if os.environ.get("MGIMM_NEED_BROWSER"):
        pytest.fail(f"{reason}, and MGIMM_NEED_BROWSER asks for the browser's tests", pytrace=False)
    pytest.skip(reason)


@pytest.fixture
def visitor(browser, address):
    """A browser's tab that shows the page."""
    with browser.new_context(viewport={"width": 1280, "height": 900}) as context:
        tab = context.new_page()
        tab.set_default_timeout(120_000)
        tab.goto(address)
        yield tab
