"""``mgimm preview``: records to look at, as a picture and as a page.

The command line calls :func:`run` with what the user gave.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Sequence
from pathlib import Path

import typer

from mgimm_plugin.constants import DEFAULT_MAX_PIXELS
from mgimm_plugin.data.images import check_image_folder
from mgimm_plugin.data.inspect.contact_sheet import Tile, choose_records, load_picture, make_tiles
from mgimm_plugin.data.inspect.image_folder import advice
from mgimm_plugin.data.inspect.sheet_page import write_page
from mgimm_plugin.data.inspect.sheet_picture import draw_sheet
from mgimm_plugin.data.wording import counted
from mgimm_plugin.errors import MgimmError

PICTURE_FILE = "sheet.png"
PAGE_FILE = "index.html"


def run(
    files: Sequence[Path],
    output: Path,
    *,
    images: Path | None = None,
    count: int = 24,
    seed: int | None = None,
    max_pixels: int = DEFAULT_MAX_PIXELS,
) -> None:
    """Write a contact sheet, ``sheet.png`` and ``index.html``.

    Args:
        files: Records, JSON or JSONL (``FILE...``).
        output: Folder of the sheet (``--output DIR``).
        images: Folder of the images (``--images DIR``); by default that of each file.
        count: How many records (``--count N``, 1 to 400); those of one image share a tile.
        seed: Choose at random (``--seed S``); by default the first.
        max_pixels: Images with more pixels are not shown (``--max-pixels``).

    Raises:
        RecordError: A file as a whole cannot be read.
        MgimmError: No file has a record that can be read, or there is no folder of images.
        MissingExtraError: jinja2 or matplotlib is not installed.
    """
    check_image_folder(images)
    choice = choose_records(files, count, seed=seed)
    if not choice.chosen:
        raise MgimmError(f"no record in {', '.join(map(str, files))} can be shown; mgimm validate says why")
    tiles = make_tiles(choice.chosen, images)
    for tile in tiles:
        load_picture(tile, max_pixels=max_pixels)
    title = ", ".join(file.name for file in files)
    with_image = sum(tile.path is not None for tile in tiles)
    subtitle = _subtitle(len(choice.chosen), with_image, seed, choice.bad)
    output.mkdir(parents=True, exist_ok=True)
    draw_sheet(tiles, output / PICTURE_FILE, title=title, subtitle=subtitle)
    write_page(tiles, output / PAGE_FILE, title=title, subtitle=subtitle)
    typer.echo(f"{output / PICTURE_FILE}, {output / PAGE_FILE}", err=True)
    folders = {file.parent for file in files} if images is None else {images}
    for line in _left_out(tiles, folders, _bad(choice.bad, seed)):
        # The name of a file may be what a terminal cannot show.
        typer.echo(line.encode("utf-8", "backslashreplace").decode(), err=True)


def _left_out(tiles: Sequence[Tile], folders: Collection[Path], bad: str) -> list[str]:
    """What the sheet does not show, and why."""
    paths = [tile.path for tile in tiles if tile.path is not None]
    gray = [tile for tile in tiles if tile.reason is not None]
    lines = []
    if gray and len(folders) == 1 and not any(map(os.path.exists, paths)):
        (folder,) = folders
        lines.append(f"none of {counted(len(paths), 'image')} is in {folder}; {advice(folder, gray[0].title)}")
    elif gray:
        lines.append(f"{len(gray):,} of {counted(len(paths), 'image')} cannot be shown: {gray[0].reason}")
    if bad:
        lines.append(f"{bad} passed over; mgimm validate says why")
    return lines


def _subtitle(records: int, images: int, seed: int | None, bad: int) -> str:
    shown = counted(records, "record")
    what = f"the first {shown}" if seed is None else f"{shown} chosen by seed {seed}"
    passed = _bad(bad, seed)
    return f"{what}, of {counted(images, 'image')}{f'; {passed} passed over' if passed else ''}"


def _bad(bad: int, seed: int | None) -> str:
    # A random choice parses only the records that it would take: there may be more bad ones.
    least = "" if seed is None else "at least "
    return f"{least}{counted(bad, 'bad record')}" if bad else ""
