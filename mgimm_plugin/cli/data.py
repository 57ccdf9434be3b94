"""Commands about data: made, brought in, checked, counted and looked at."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from mgimm_plugin.cli.app import PixelsOption, app
from mgimm_plugin.commands.reporting import Command
from mgimm_plugin.constants import DEFAULT_MAX_PIXELS


class World(StrEnum):
    """What scenes are of."""

    MINI = "mini"


@app.command(cls=Command, epilog="Example: mgimm scenes --count 200 --seed 7 --output scenes")
def scenes(
    count: Annotated[int, typer.Option("--count", min=1, help="Number of scenes.")],
    output: Annotated[Path, typer.Option("--output", metavar="DIR", help="Folder of the set.")],
    seed: Annotated[int, typer.Option("--seed", min=0, help="The same seed gives the same scenes.")] = 0,
    size: Annotated[int, typer.Option("--size", min=32, help="Side of the images in pixels.")] = 224,
    world: Annotated[World, typer.Option("--world", help="mini: the small world of the bundled models.")] = World.MINI,
    style: Annotated[str | None, typer.Option("--style", help="Preset of palette, scale and density.")] = None,
    nuisance: Annotated[str | None, typer.Option("--nuisance", help="Preset of haze, blur and noise.")] = None,
    workers: Annotated[int | None, typer.Option("--workers", min=1, help="Processes. Default: all cores.")] = None,
) -> None:
    """Draw overhead scenes with region and image records."""
    from mgimm_plugin.data.scenes import write_scenes

    write_scenes(
        output, count=count, seed=seed, size=size, world=str(world), style=style, nuisance=nuisance, workers=workers
    )
    typer.echo(f"{count} scenes in {output}")


@app.command(cls=Command, epilog="Example: mgimm validate train.jsonl --images images")
def validate(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="Records, JSON or JSONL.")],
    images: Annotated[
        Path | None, typer.Option("--images", metavar="DIR", help="Open the images too; check sizes and boxes.")
    ] = None,
    max_pixels: PixelsOption = DEFAULT_MAX_PIXELS,
) -> None:
    """List every problem of a record file.

    The exit code is 1 where there is one.
    """
    from mgimm_plugin.commands.validate import run

    raise typer.Exit(run([file], images=images, max_pixels=max_pixels))
