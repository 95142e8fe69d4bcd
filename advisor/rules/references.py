"""The literature and issue threads that findings cite, from one file."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path


@dataclass(frozen=True)
class Reference:
    """One source.

    Attributes:
        key: Short name used by the rules, such as `ioffe-2015`.
        title: Title of the paper or thread.
        authors: Authors, and the year.
        url: Where to read it.
    """

    key: str
    title: str
    authors: str
    url: str

    def __str__(self) -> str:
        return f"{self.authors}: {self.title}. {self.url}"


@cache
def references() -> Mapping[str, Reference]:
    """All sources, from `advisor/references.toml`.

    Returns:
        References by key.
    """
    path = Path(__file__).parents[1] / "references.toml"
    return {key: Reference(key, **entry) for key, entry in tomllib.loads(path.read_text("utf-8")).items()}


def reference(key: str | Reference) -> Reference:
    """The source with that key.

    Args:
        key: First author and year, or project and issue number; a source of a rule's own is given back as it is.

    Returns:
        The reference.

    Raises:
        KeyError: If `references.toml` has no such entry.

    Example:
    >>> reference("ba-2016").title
    'Layer Normalization'
    """
    if isinstance(key, Reference):
        return key
    try:
        return references()[key]
    except KeyError:
        raise KeyError(
            f"no reference {key!r} in advisor/references.toml; add it there, or give the rule a `Reference` of its own"
        ) from None
