"""How every command runs: failures in one line, Keras without its noise, a sign of life."""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import typer
from rich.console import Console
from rich.markup import escape

from advisor.native_log import native_log_held_back

CLEAN, FINDINGS, FAILURE = 0, 1, 2


@contextmanager
def failures_explained() -> Iterator[None]:
    """A failure becomes exit code 2: one line where the input is to blame, a traceback where the advisor is."""
    try:
        yield
    except (ImportError, OSError, TypeError, ValueError) as error:
        print(f"keras-advisor: {_in_one_line(error)}", file=sys.stderr)
        raise typer.Exit(FAILURE) from None
    except (typer.Exit, typer.Abort, typer.BadParameter):
        raise
    except Exception:
        traceback.print_exc()
        raise typer.Exit(FAILURE) from None


def _in_one_line(error: Exception) -> str:
    return " ".join(str(error).split())


@contextmanager
def busy(doing: str) -> Iterator[Callable[[str], None]]:
    """Shows on a terminal that something is going on; what it gives shows what that is by now."""
    with Console().status(f"{doing} …") as status:
        yield lambda doing: status.update(f"{escape(doing)} …")


def import_keras() -> None:
    """Import Keras without the start-up messages of TensorFlow, which no setting silences.

    Whoever sets TF_CPP_MIN_LOG_LEVEL sees them.
    """
    if "TF_CPP_MIN_LOG_LEVEL" in os.environ:
        return
    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
    with native_log_held_back():
        import keras  # noqa: F401
