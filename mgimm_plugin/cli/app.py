"""The command line's root, and the options that several commands share."""

from __future__ import annotations

import logging
from enum import StrEnum
from typing import Annotated

import typer

import mgimm_plugin
from mgimm_plugin.commands.reporting import DEBUG

app = typer.Typer(
    name="mgimm",
    add_completion=False,
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)


class Dtype(StrEnum):
    """Number format of the weights."""

    FLOAT32 = "float32"
    BFLOAT16 = "bfloat16"
    FLOAT16 = "float16"


class OnError(StrEnum):
    """What to do with a record that cannot be used."""

    RAISE = "raise"
    SKIP = "skip"


ModelOption = Annotated[
    str | None, typer.Option("--model", metavar="DIR", help="Checkpoint folder or Hub id. Default: the bundled model.")
]
BaseOption = Annotated[
    str | None, typer.Option("--base", metavar="DIR", help="Base model. Default: the one the checkpoint names.")
]
DeviceOption = Annotated[
    str | None, typer.Option("--device", help="cpu, cuda, cuda:1, ... Default: cuda where there is one.")
]
DtypeOption = Annotated[
    Dtype | None,
    typer.Option("--dtype", help="Default: float32 on CPU, bfloat16 on CUDA, float16 on GPUs before Ampere."),
]
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
