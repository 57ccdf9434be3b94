"""Commands about models: asked, scored, merged, and LLaVA's own programs."""

from __future__ import annotations

import json
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

import mgimm_plugin
from mgimm_plugin.cli.app import (
    BaseOption,
    BeamsOption,
    DeviceOption,
    DtypeOption,
    ModelOption,
    OnError,
    PixelsOption,
    TokensOption,
    app,
)
from mgimm_plugin.commands.reporting import Command, PassThrough
from mgimm_plugin.constants import DEFAULT_MAX_PIXELS


class Task(StrEnum):
    """What ``describe`` is asked for."""

    REGION = "region"
    IMAGE = "image"


class Regions(StrEnum):
    """Which regions a question about an image comes with."""

    RECORD = "record"
    NONE = "none"


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
    temperature: Annotated[
        float, typer.Option("--temperature", min=0, help="0 is greedy; 0.01 and above sample.")
    ] = 0.0,
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
    from mgimm_plugin.evaluate.ranks import is_first_process

    metrics = run(
        model, base, data, images, output, compare=compare or (), device=device, dtype=dtype, batch_size=batch_size,
        max_new_tokens=max_new_tokens, num_beams=num_beams, blank_image=blank_image, regions=str(regions),
        resume=not no_resume, on_error=str(on_error), max_pixels=max_pixels,
    )  # fmt: skip
    if not is_first_process():
        return
    for name, value in metrics.items():
        if isinstance(value, float):
            typer.echo(f"{name:28} {value:.4f}")
    if metrics["caption_metrics_reason"]:
        typer.echo(f"not computed: {metrics['caption_metrics_reason']}", err=True)
    typer.echo(f"{metrics['records_answered']} of {metrics['records']} records answered; report: {output}/report.html")


@app.command(cls=Command, epilog="Example: mgimm serve --model runs/image --port 8000")
def serve(
    model: ModelOption = None,
    base: BaseOption = None,
    host: Annotated[str, typer.Option("--host", help="Where to listen; 0.0.0.0 is everywhere.")] = "127.0.0.1",
    port: Annotated[int, typer.Option("--port", min=0, max=65535, help="0 takes a free one.")] = 8000,
    allowed_host: Annotated[
        list[str] | None,
        typer.Option("--allowed-host", metavar="NAME", help="Another name to answer under: a proxy's; repeatable."),
    ] = None,
    api_key: Annotated[
        str | None, typer.Option("--api-key", envvar="MGIMM_API_KEY", help="Asked of every client. Default: none.")
    ] = None,
    allow_remote_images: Annotated[
        bool, typer.Option("--allow-remote-images", help="Load http(s) images, from public addresses only.")
    ] = False,
    batch_size: Annotated[int, typer.Option("--batch-size", min=1, help="Requests answered together.")] = 16,
    queue_length: Annotated[int, typer.Option("--queue-length", min=1, help="Requests that may wait.")] = 64,
    max_pixels: Annotated[int, typer.Option("--max-pixels", min=1, help="Larger images are refused.")] = 64_000_000,
    device: DeviceOption = None,
    dtype: DtypeOption = None,
) -> None:
    """Serve a model to OpenAI's clients.

    /v1/chat/completions takes images and regions, streamed or not; /health and /metrics say how it goes.
    """
    from mgimm_plugin.commands.serve import run

    run(
        model, base, host=host, port=port, allowed_hosts=allowed_host or (), api_key=api_key,
        allow_remote_images=allow_remote_images, batch_size=batch_size, queue_length=queue_length,
        max_pixels=max_pixels, device=device, dtype=dtype,
    )  # fmt: skip


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


@app.command(cls=Command, epilog="Example: mgimm bench --only rim,regions --json")
def bench(
    only: Annotated[
        str | None, typer.Option("--only", metavar="NAMES", help="Some of them, separated by commas. Default: all.")
    ] = None,
    device: DeviceOption = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print a list of JSON objects.")] = False,
) -> None:
    """Measure speed and memory against the usual way.

    rim, regions, evaluate, region-stage, image-stage, memory, data, serving, start, scale-out: each as a ratio, both
    ways in one run.
    """
    from mgimm_plugin.commands.bench import run

    run([name.strip() for name in (only or "").split(",") if name.strip()], device=device, as_json=as_json)


@app.command(cls=Command, epilog="Example: mgimm playground --model runs/image --model runs/region")
def playground(
    model: Annotated[
        list[str] | None,
        typer.Option("--model", metavar="DIR", help="Folder or Hub id; repeatable. Default: the bundled model."),
    ] = None,
    base: BaseOption = None,
    device: DeviceOption = None,
    host: Annotated[str, typer.Option("--host", help="Address to listen at; 0.0.0.0 lets others in.")] = "127.0.0.1",
    port: Annotated[
        int | None, typer.Option("--port", min=1, max=65535, help="Default: the first free one from 7860.")
    ] = None,
    corrections: Annotated[
        Path, typer.Option("--corrections", metavar="FILE", help="Where corrected answers go, as records.")
    ] = Path("runs/corrections/corrections.jsonl"),
) -> None:
    """Open the web page: draw boxes on an image and read what is in them."""
    from mgimm_plugin.webpage.launch import launch

    launch(model or (), base=base, device=device, host=host, port=port, corrections=corrections)
