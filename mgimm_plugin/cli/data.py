"""Commands about data: brought in, made, checked, counted and looked at."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from mgimm_plugin.cli.app import PixelsOption, app
from mgimm_plugin.commands.reporting import Command
from mgimm_plugin.constants import DEFAULT_MAX_PIXELS


class Split(StrEnum):
    """Which scenes a seed stands for."""

    TRAIN = "train"
    VAL = "val"
    TEST = "test"


FilesArgument = Annotated[list[Path], typer.Argument(metavar="FILE", help="Records, JSON or JSONL.")]


def _list_formats(value: bool) -> None:
    if value:
        from mgimm_plugin.data.prepare.source import source_formats

        for name, source_format in sorted(source_formats().items()):
            typer.echo(f"{name:12} {source_format.title}")
        raise typer.Exit


@app.command(cls=Command, epilog="Example: mgimm prepare dior-rsvg DIOR_RSVG --output rsvg")
def prepare(
    source_format: Annotated[str, typer.Argument(metavar="FORMAT", help="What it is; --formats lists all.")],
    inputs: Annotated[list[Path], typer.Argument(metavar="INPUT", help="Its files and folders.")],
    output: Annotated[Path, typer.Option("--output", metavar="DIR", help="Folder of the result.")],
    images: Annotated[
        Path | None,
        typer.Option("--images", metavar="DIR", help="The images; without them nothing is read off pixels."),
    ] = None,
    classes: Annotated[
        Path | None,
        typer.Option("--classes", metavar="FILE", help="Class names by number: one a line, JSON, or data.yaml."),
    ] = None,
    column: Annotated[
        list[str] | None,
        typer.Option("--column", metavar="FIELD=COLUMN", help="Which column of a table holds what; repeatable."),
    ] = None,
    image_size: Annotated[
        str | None, typer.Option("--image-size", metavar="WxH", help="Size of images that are not there.")
    ] = None,
    join: Annotated[
        list[str] | None,
        typer.Option(
            "--join", metavar="FORMAT=PATH", help="Texts of another source about the same images; repeatable."
        ),
    ] = None,
    questions: Annotated[
        Path | None, typer.Option("--questions", metavar="FILE", help="Question templates of your own, JSON.")
    ] = None,
    seed: Annotated[int, typer.Option("--seed", min=0, help="Of splits, questions and sentence patterns.")] = 0,
    split_by_image: Annotated[
        bool, typer.Option("--split-by-image", help="Split by image: 70 % train, 10 % val, 20 % test.")
    ] = False,
    max_pixels: PixelsOption = DEFAULT_MAX_PIXELS,
    formats: Annotated[
        bool, typer.Option("--formats", callback=_list_formats, is_eager=True, help="List the formats.")
    ] = False,
) -> None:
    """Turn a foreign dataset into records.

    Writes record files, dataset.json (the card), report.md and dropped.ndjson (what was left out, and why).
    """
    from mgimm_plugin.commands.prepare import prepare as run

    summary = run(
        source_format, inputs, output, images=images, classes=classes, columns=column or (), image_size=image_size,
        joins=join or (), questions=questions, seed=seed, split_by_image=split_by_image,
        max_pixels=max_pixels,
    )  # fmt: skip
    typer.echo(summary)


@app.command(cls=Command, epilog="Example: mgimm scenes --count 200 --seed 7 --output scenes")
def scenes(
    count: Annotated[int, typer.Option("--count", min=1, help="Number of scenes.")],
    output: Annotated[Path, typer.Option("--output", metavar="DIR", help="Folder of the set.")],
    seed: Annotated[int, typer.Option("--seed", min=0, max=999_999, help="The same seed gives the same scenes.")] = 0,
    split: Annotated[Split, typer.Option("--split", help="Sets of different splits share no scene.")] = Split.TRAIN,
    size: Annotated[int, typer.Option("--size", min=64, help="Side of the images in pixels.")] = 224,
    style: Annotated[str, typer.Option("--style", help="standard, autumn, winter, dusk, small, dense.")] = "standard",
    nuisance: Annotated[str, typer.Option("--nuisance", help="mild, none, strong.")] = "mild",
    workers: Annotated[int | None, typer.Option("--workers", min=1, help="Processes. Default: all cores.")] = None,
) -> None:
    """Draw overhead scenes with records about their regions and the whole."""
    from mgimm_plugin.data.scenes import split_seed, write_scenes

    write_scenes(
        output, count=count, seed=split_seed(str(split), seed), size=size, style=style, nuisance=nuisance,
        workers=workers,
    )  # fmt: skip
    typer.echo(f"{count} scenes in {output}")


@app.command(cls=Command, epilog="Example: mgimm validate train.jsonl --images images")
def validate(
    files: FilesArgument,
    images: Annotated[
        Path | None, typer.Option("--images", metavar="DIR", help="Open the images too; check sizes and boxes.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object a problem.")] = False,
    max_pixels: PixelsOption = DEFAULT_MAX_PIXELS,
) -> None:
    """List every problem of record files.

    The exit code is 1 where there is one.
    """
    from mgimm_plugin.commands.validate import run

    if code := run(files, images=images, max_pixels=max_pixels, as_json=as_json):
        raise typer.Exit(code)


@app.command(cls=Command, epilog="Example: mgimm stats train.jsonl --tokenizer lmsys/vicuna-7b-v1.5 --output stats")
def stats(
    files: FilesArgument,
    tokenizer: Annotated[
        str | None, typer.Option("--tokenizer", metavar="DIR", help="Lengths in its tokens too; folder or Hub id.")
    ] = None,
    output: Annotated[
        Path | None, typer.Option("--output", metavar="DIR", help="Write stats.json and stats.png too.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Count records, boxes, classes, words."""
    from mgimm_plugin.commands.stats import run

    run(files, tokenizer=tokenizer, output=output, as_json=as_json)


@app.command(cls=Command, epilog="Example: mgimm preview train.jsonl --images images --output sheet")
def preview(
    files: FilesArgument,
    output: Annotated[Path, typer.Option("--output", metavar="DIR", help="Folder of sheet.png and index.html.")],
    images: Annotated[
        Path | None, typer.Option("--images", metavar="DIR", help="Where image names start. Default: FILE's folder.")
    ] = None,
    count: Annotated[int, typer.Option("--count", min=1, max=400, help="Number of records.")] = 24,
    seed: Annotated[int | None, typer.Option("--seed", min=0, help="Choose at random. Default: the first.")] = None,
    max_pixels: PixelsOption = DEFAULT_MAX_PIXELS,
) -> None:
    """Draw a contact sheet: images, boxes, phrases."""
    from mgimm_plugin.commands.preview import run

    run(files, output, images=images, count=count, seed=seed, max_pixels=max_pixels)
