"""A line on the terminal that says what is going on."""

from __future__ import annotations

import sys
from contextlib import AbstractContextManager, nullcontext


def working(doing: str, verbose: int | str) -> AbstractContextManager[object]:
    """Shows that work is under way, while it is.

    Args:
        doing: What is being done, such as `"Looking at the data"`.
        verbose: 0 for silence, 1 or 2 for the line, `"auto"` for the line on a terminal only.

    Returns:
        A context manager around the work.
    """
    if verbose == 0 or (verbose == "auto" and not sys.stderr.isatty()):
        return nullcontext()
    from rich.console import Console

    return Console(stderr=True).status(f"{doing} …")
