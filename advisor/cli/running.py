"""How every command runs: failures in one line, Keras without its noise, texts that fit the terminal."""

from __future__ import annotations

import os
import sys
import textwrap
import traceback
from collections.abc import Iterator
from contextlib import contextmanager

import typer
from rich.console import Console

from advisor.cli.user_code import UserCodeError
from advisor.native_log import native_log_held_back
from advisor.progress import working

CLEAN, FINDINGS, FAILURE = 0, 1, 2

EXPLAINED = (ImportError, OSError, TypeError, ValueError)
"""Errors whose message says what is wrong with the input."""


@contextmanager
def failures_explained() -> Iterator[None]:
    """A failure becomes exit code 2: one line where the input is to blame, a traceback where the advisor is."""
    try:
        yield
    except EXPLAINED as error:
        explain(error)
        raise typer.Exit(FAILURE) from None
    except (typer.Exit, typer.Abort, typer.BadParameter):
        raise
    except Exception:
        traceback.print_exc()
        raise typer.Exit(FAILURE) from None


def explain(error: Exception) -> None:
    """Say in a line what is wrong, after the traceback of the user's code where that is to blame."""
    if isinstance(error, UserCodeError):
        print(error.trace, end="", file=sys.stderr)
    print(f"keras-advisor: {in_one_line(error)}", file=sys.stderr)


def in_one_line(error: Exception) -> str:
    """The message of an error without its line breaks."""
    return " ".join(str(error).split())


def import_keras() -> None:
    """Import Keras without the start-up messages of TensorFlow, which no setting silences.

    Whoever sets TF_CPP_MIN_LOG_LEVEL sees them.
    """
    if "TF_CPP_MIN_LOG_LEVEL" in os.environ:
        return
    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
    with working("Starting Keras", "auto"), native_log_held_back():
        import keras  # noqa: F401


def say(text: str) -> None:
    """Print a sentence that fits the terminal, but for words that are longer."""
    print(textwrap.fill(text, Console().width, break_long_words=False, break_on_hyphens=False))


def say_command(parts: list[str]) -> None:
    """Print a command to be pasted into a shell, over as many lines as it takes to fit the terminal.

    Args:
        parts: Words that belong on one line each, quoted for the shell: the command, then options with their values.
    """
    width = Console().width - len(" \\")
    lines = [parts[0]]
    for part in parts[1:]:
        if len(lines[-1]) + 1 + len(part) <= width:
            lines[-1] += f" {part}"
        else:
            lines.append(f"    {part}")
    print(" \\\n".join(lines))
