"""The ``mgimm`` command line: options, and calls into the package. Imports nothing heavy: ``--help`` is quick."""

from __future__ import annotations

import json
import logging
from collections import Counter
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

import mgimm_plugin
from mgimm_plugin.commands.reporting import DEBUG, Command, PassThrough
from mgimm_plugin.constants import DEFAULT_MAX_PIXELS

app = typer.Typer(
    name="mgimm",
    add_completion=False,
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)


class Task(StrEnum):
    """What ``describe`` is asked for."""

    REGION = "region"
    IMAGE = "image"


class Dtype(StrEnum):
    """Number format of the weights."""

    FLOAT32 = "float32"
    BFLOAT16 = "bfloat16"
    FLOAT16 = "float16"


class OnError(StrEnum):
    """What to do with a record that cannot be used."""

    RAISE = "raise"
    SKIP = "skip"


class World(StrEnum):
    """What scenes are of."""

    MINI = "mini"


class Regions(StrEnum):
    """Which regions a question about an image comes with."""

    RECORD = "record"
    NONE = "none"


ModelOption = Annotated[
    str | None, typer.Option("--model", metavar="DIR", help="Checkpoint folder or Hub id. Default: the bundled model.")
]
BaseOption = Annotated[
    str | None, typer.Option("--base", metavar="DIR", help="Base model. Default: the one the checkpoint names.")
]
DeviceOption = Annotated[
    str | None, typer.Option("--device", help="cpu, cuda, cuda:1, ... Default: cuda where there is one.")
]
DtypeOption = Annotated[Dtype | None, typer.Option("--dtype", help="Default: float32 on CPU, bfloat16 on CUDA.")]
TokensOption = Annotated[int, typer.Option("--max-new-tokens", min=1, help="Longest answer.")]
PixelsOption = Annotated[int, typer.Option("--max-pixels", min=1, help="Images with more pixels are refused.")]
BeamsOption = Annotated[int, typer.Option("--num-beams", min=1, help="1 is greedy.")]


def _print_version(value: bool) -> None:
    if value:
        typer.echo(mgimm_plugin.__version__)
        raise typer.Exit


@app.callback()
def _mgimm(
    context: typer.Context,
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version.")
    ] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Show tracebacks; also after the command.")] = False,
) -> None:
    """Region-aware descriptions of remote-sensing images."""
    logging.basicConfig(format="%(levelname)s: %(message)s", level=logging.WARNING)
    if debug:
        context.meta[DEBUG] = True


@app.command(cls=Command, epilog="Example: mgimm describe scene.jpg --box 133,237,684,672 --box 10,20,200,180")
def describe(
    image: Annotated[Path, typer.Argument(metavar="IMAGE", help="The image.")],
    box: Annotated[
        list[str] | None, typer.Option("--box", metavar="x1,y1,x2,y2", help="A box in pixels; repeatable.")
    ] = None,
    boxes_file: Annotated[
        Path | None,
        typer.Option("--boxes-file", metavar="FILE", help="Boxes as text lines, JSON, COCO, or records."),
    ] = None,
    regions: Annotated[
        str | None, typer.Option("--regions", metavar="grid:NxM", help="N rows of M cells in place of boxes.")
    ] = None,
    task: Annotated[
        Task | None, typer.Option("--task", help="Default: region where there are boxes, else image.")
    ] = None,
    model: ModelOption = None,
    base: BaseOption = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
    device: DeviceOption = None,
    dtype: DtypeOption = None,
    max_new_tokens: TokensOption = 200,
    num_beams: BeamsOption = 1,
    temperature: Annotated[float, typer.Option("--temperature", min=0, help="Above 0 samples.")] = 0.0,
    max_pixels: PixelsOption = DEFAULT_MAX_PIXELS,
) -> None:
    """Describe an image, or each of its regions.

    With boxes, each region is described; with --task image, the whole image, guided by them; without boxes, the image.
    """
    if sum(bool(source) for source in (box, boxes_file, regions)) > 1:
        raise typer.BadParameter("--box, --boxes-file and --regions exclude each other")
    if task is Task.REGION and not (box or boxes_file or regions):
        raise typer.BadParameter("--task region needs --box, --boxes-file or --regions")
    from mgimm_plugin.commands.boxes import parse_box
    from mgimm_plugin.errors import BoxError

    try:
        boxes = [parse_box(text) for text in box or ()]
    except BoxError as error:
        raise typer.BadParameter(str(error), param_hint="--box") from error
    from mgimm_plugin.commands.describe import describe as run

    description = run(
        image, boxes=boxes, boxes_file=boxes_file, regions=regions, task=task, model=model, base=base, device=device,
        dtype=dtype, max_pixels=max_pixels, max_new_tokens=max_new_tokens, num_beams=num_beams,
        temperature=temperature,
    )  # fmt: skip
    typer.echo(description.as_json() if as_json else description.as_text())


@app.command(cls=Command, epilog="Example: mgimm evaluate --model runs/region --data test.jsonl --output runs/test")
def evaluate(
    data: Annotated[Path, typer.Option("--data", metavar="FILE", help="Records, JSON or JSONL.")],
    output: Annotated[Path, typer.Option("--output", metavar="DIR", help="Folder for the results.")],
    images: Annotated[
        Path | None, typer.Option("--images", metavar="DIR", help="Where image names start. Default: DATA's folder.")
    ] = None,
    model: ModelOption = None,
    base: BaseOption = None,
    batch_size: Annotated[int, typer.Option("--batch-size", min=1, help="Questions answered together.")] = 16,
    max_new_tokens: TokensOption = 200,
    num_beams: BeamsOption = 1,
    blank_image: Annotated[
        bool, typer.Option("--blank-image", help="Show a uniform image instead: what boxes and words alone achieve.")
    ] = False,
    regions: Annotated[
        Regions, typer.Option("--regions", help="none: ask about images without their regions.")
    ] = Regions.RECORD,
    compare: Annotated[
        list[Path] | None,
        typer.Option("--compare", metavar="DIR", help="Show a finished evaluation beside; repeatable."),
    ] = None,
    no_resume: Annotated[bool, typer.Option("--no-resume", help="Drop predictions that are there.")] = False,
    on_error: Annotated[
        OnError, typer.Option("--on-error", help="skip: leave out and list records that cannot be asked.")
    ] = OnError.RAISE,
    max_pixels: PixelsOption = DEFAULT_MAX_PIXELS,
    device: DeviceOption = None,
    dtype: DtypeOption = None,
) -> None:
    """Predict, score and report.

    Writes predictions.jsonl, metrics.json and report.html. Run again after an interruption, it goes on.
    """
    from mgimm_plugin.commands.evaluate import run

    metrics = run(
        model, base, data, images, output, compare=compare or (), device=device, dtype=dtype, batch_size=batch_size,
        max_new_tokens=max_new_tokens, num_beams=num_beams, blank_image=blank_image, regions=str(regions),
        resume=not no_resume, on_error=str(on_error), max_pixels=max_pixels,
    )  # fmt: skip
    for name, value in metrics.items():
        if isinstance(value, float):
            typer.echo(f"{name:24} {value:.4f}")
    if metrics["caption_metrics_reason"]:
        typer.echo(f"not computed: {metrics['caption_metrics_reason']}", err=True)
    typer.echo(f"{metrics['records_answered']} of {metrics['records']} records answered; report: {output}/report.html")


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
    from mgimm_plugin.commands.validate import problems_in

    formats: Counter[str] = Counter()
    problems = 0
    for problem in problems_in(file, images, formats, max_pixels=max_pixels):
        if problem is not None:
            problems += 1
            typer.echo(problem)
    good = ", ".join(f"{count} {name}" for name, count in sorted(formats.items())) or "none"
    typer.echo(f"{file}: {problems} problems; good records: {good}", err=True)
    if problems or not formats:
        raise typer.Exit(1)


@app.command("merge-lora", cls=Command, epilog="Example: mgimm merge-lora runs/image runs/merged")
def merge_lora(
    checkpoint: Annotated[Path, typer.Argument(metavar="CHECKPOINT", help="LoRA or adapter folder.")],
    output: Annotated[Path, typer.Argument(metavar="OUTPUT", help="New folder.")],
    base: BaseOption = None,
) -> None:
    """Merge a LoRA checkpoint into its base."""
    mgimm_plugin.register()
    from mgimm_plugin.model.merging import merge_lora as merge

    merge(checkpoint, output, base)
    typer.echo(f"merged: {output}")


@app.command(cls=Command, epilog="Example: mgimm doctor --json")
def doctor(as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False) -> None:
    """Report what is here and what is missing.

    Versions, patches with their state, Java, CUDA, and which command lacks what. The exit code is 1 where the core
    does not work.
    """
    from mgimm_plugin.doctor import doctor as examine

    report = examine()
    typer.echo(json.dumps(report.as_dict(), indent=2) if as_json else report.render())
    if not report.healthy:
        raise typer.Exit(1)


@app.command(
    cls=PassThrough,
    context_settings={"allow_interspersed_args": False, "ignore_unknown_options": True},
    epilog="Example: mgimm llava serve.cli --model-path runs/image --image-file scene.jpg --device cpu",
)
def llava(
    module: Annotated[str, typer.Argument(metavar="MODULE", help="Such as serve.cli or eval.run_llava.")],
    args: Annotated[list[str] | None, typer.Argument(metavar="[ARGS]...", help="The module's own arguments.")] = None,
) -> None:
    """Run one of LLaVA's modules, plugin active."""
    from mgimm_patches.runner import run_module

    raise typer.Exit(run_module(module, args or []))


def main() -> None:
    """Entry point of the console script."""
    app(prog_name="mgimm")


if __name__ == "__main__":
    main()
