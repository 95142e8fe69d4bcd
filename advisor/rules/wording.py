"""How findings name what they are about."""

from __future__ import annotations

from collections.abc import Sequence


def named(paths: Sequence[str]) -> str:
    """The first of some layers by its path, and how many more there are.

    Example:
    >>> named(["dense", "dense_1", "dense_2"])
    '`dense` and 2 more layers'
    """
    more = len(paths) - 1
    return f"`{paths[0]}`" + (f" and {more} more layer{'s' if more > 1 else ''}" if more else "")
