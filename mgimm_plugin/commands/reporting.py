"""How commands fail: one line on standard error, or the traceback with ``--debug``.

The exit code is 1, and 2 for a setting that cannot be meant.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import typer
from typer.core import TyperCommand

from mgimm_plugin.errors import MgimmError, SettingError, is_out_of_memory

DEBUG = "mgimm.debug"
"""Key in the context's ``meta``."""


class Command(TyperCommand):
    """A command whose failures are one line on stderr, with exit code 1 or 2, and that takes ``--debug`` as well."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Take ``--debug`` out of the arguments of this command."""
        if "--debug" in args:
            args = [arg for arg in args if arg != "--debug"]
            ctx.meta[DEBUG] = True
        return super().parse_args(ctx, args)

    def invoke(self, ctx: Any) -> Any:
        """Run the command."""
        try:
            return super().invoke(ctx)
        except (typer.Exit, typer.Abort, typer.BadParameter, BrokenPipeError):
            raise
        except Exception as error:
            if ctx.meta.get(DEBUG):
                raise
            typer.echo(f"mgimm {ctx.info_name}: {_one_line(error, ctx.params)}", err=True)
            raise typer.Exit(2 if isinstance(error, SettingError) else 1) from error


class PassThrough(Command):
    """A command whose arguments after the first positional one belong to another program, ``--debug`` included."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Look at the options before the first positional argument only."""
        own = next((at for at, arg in enumerate(args) if not arg.startswith("-")), len(args))
        if "--debug" in args[:own]:
            ctx.meta[DEBUG] = True
        return TyperCommand.parse_args(self, ctx, [arg for arg in args[:own] if arg != "--debug"] + args[own:])


def _one_line(error: Exception, options: Mapping[str, Any]) -> str:
    text = " ".join(str(error).split())
    if isinstance(error, OSError) and error.strerror and error.filename is not None:
        return f"{error.filename}: {error.strerror}"
    if isinstance(error, MgimmError | OSError):
        return text
    if is_out_of_memory(error):
        return _out_of_memory(error, text, options)
    return f"unexpected {type(error).__name__}: {text} (mgimm --debug ... shows where)"


def _out_of_memory(error: Exception, text: str, options: Mapping[str, Any]) -> str:
    cuda = ". ".join(text.split(". ")[:3]).rstrip(".")
    advice = []
    if notes := getattr(error, "__notes__", ()):  # of answering, in halves as far as that goes: no batch is too large
        lower = [f"--{name.replace('_', '-')}" for name in ("max_new_tokens", "num_beams") if options.get(name, 1) > 1]
        advice += [f"lower {' or '.join(lower)}"] if lower else []
    elif "dtype" in options:
        advice += ["load the model in fewer bits (--dtype bfloat16 or float16)"]
    else:
        advice += ["take a smaller batch or model"]
    advice += ["name another device by --device"] if "device" in options else []
    advice += ["see with nvidia-smi what else is on the GPU"]
    fact = ", ".join(notes) or "the GPU's memory is too small"
    return f"{fact}: {', or '.join(advice)} ({cuda}; mgimm --debug ... shows where)"
