#!/usr/bin/env python
"""Take the pictures of docs/playground.md: the page at both widths, light and dark, after an example was described.

python scripts/page_pictures.py docs/images/playground
"""

from __future__ import annotations

import argparse
import io
import shutil
import tempfile
from pathlib import Path
from typing import Any

from PIL import Image

from mgimm_plugin.webpage.launch import launch

WIDTHS = (1280, 390)
THEMES = ("light", "dark")
EXAMPLE = 0
QUESTION = "What is between region 1 and region 3?"
SHARE = 0.75
"""Size of the pictures against the page, to keep them small."""

LIGHT_UP = """() => {
    const marks = sentence => sentence.querySelectorAll("sup").length;
    const sentences = [...document.querySelectorAll("#mg-image .mg-sentence[tabindex]")];
    sentences.sort((one, other) => marks(one) - marks(other))[0].focus();
}"""
"""The sentence about the fewest regions is the one under the mouse."""


def take(page: Any, address: str, theme: str, width: int) -> Image.Image:
    """Use the page as a visitor does, and take a picture of all of it."""
    from playwright.sync_api import expect

    page.set_viewport_size({"width": width, "height": 900})
    page.goto(f"{address}?__theme={theme}")
    page.locator("#mg-examples .thumbnail-item").nth(EXAMPLE).click()
    rows = page.locator("#mg-regions .mg-row")
    expect(rows).not_to_have_count(0)
    page.get_by_role("button", name="Describe regions").click()
    expect(rows.last.locator(".mg-sure")).to_contain_text("%")
    page.get_by_role("button", name="Describe image").click()
    expect(page.locator("#mg-image .mg-sentence[tabindex]").first).to_be_visible()
    page.get_by_label("Question").fill(QUESTION)
    page.get_by_label("Question").press("Enter")
    expect(page.locator("#mg-chat .bot").last).to_contain_text(".")
    page.evaluate(LIGHT_UP)
    page.evaluate("scrollTo(0, 0)")
    page.wait_for_timeout(1500)
    return Image.open(io.BytesIO(page.screenshot(full_page=True))).convert("RGB")


def main() -> None:
    """Write a picture for each width and theme."""
    from playwright.sync_api import expect, sync_playwright

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("output", type=Path)
    output = parser.parse_args().output
    output.mkdir(parents=True, exist_ok=True)
    expect.set_options(timeout=120_000)
    with tempfile.TemporaryDirectory() as kept, sync_playwright() as playwright:
        served, address = launch(corrections=Path(kept) / "corrections.jsonl", blocking=False)
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        for width in WIDTHS:
            for theme in THEMES:
                page = browser.new_page()
                page.set_default_timeout(120_000)
                image = take(page, address, theme, width)
                page.close()
                image = image.resize(
                    (round(image.width * SHARE), round(image.height * SHARE)), Image.Resampling.LANCZOS
                )
                image.save(output / f"{width}-{theme}.jpg", quality=82, optimize=True)
        browser.close()
        served.close()


if __name__ == "__main__":
    main()
