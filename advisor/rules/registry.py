"""All rules: those of this package, found by walking it, and those of installed plugins."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Iterable, Mapping
from functools import cache
from importlib.metadata import entry_points
from typing import TypeVar

from advisor.rules.base import CODE_PATTERN, NAME_PATTERN, Rule

ENTRY_POINT_GROUP = "keras_advisor.rules"
"""A plugin names its rule classes, or modules that hold them, in this entry-point group."""

_rules: dict[str, Rule] = {}
RuleClass = TypeVar("RuleClass", bound=type[Rule])


def rule(cls: RuleClass) -> RuleClass:
    """Class decorator that makes a rule known.

    Args:
        cls: The rule.

    Returns:
        The same class.

    Raises:
        ValueError: If its code or name is malformed, or the code belongs to another rule.
    """
    if not CODE_PATTERN.fullmatch(cls.code):
        raise ValueError(
            f"`code` of {cls.__name__} must be letters and three digits, like N101. Received: {cls.code!r}"
        )
    if not NAME_PATTERN.fullmatch(cls.name):
        raise ValueError(f"`name` of {cls.__name__} must be kebab-case. Received: {cls.name!r}")
    known = _rules.get(cls.code)
    if known is not None and type(known).__qualname__ != cls.__qualname__:
        raise ValueError(f"the code {cls.code} belongs to {type(known).__name__}. Received: {cls.__name__}")
    _rules[cls.code] = cls()
    return cls


def all_rules() -> Mapping[str, Rule]:
    """Every rule there is, plugins included.

    Returns:
        Rules by code, in order of the codes.

    Example:
    >>> all_rules()["D203"].name
    'dropout-rate-zero'
    """
    _load()
    return dict(sorted(_rules.items()))


def select_rules(select: str | Iterable[str] | None = None, ignore: str | Iterable[str] | None = None) -> list[Rule]:
    """The rules a user asked for.

    Args:
        select: Codes or prefixes of codes (`"N"`, `"N10"`, `"N101"`); None means all.
        ignore: Codes or prefixes to leave out; wins over `select`.

    Returns:
        The rules, in order of their codes.

    Raises:
        TypeError: If a code is no string.
        ValueError: If a code or prefix matches no rule, or no rule is left.

    Example:
    >>> [rule.code for rule in select_rules("D20", ignore="D201,D206")]
    ['D202', 'D203', 'D204', 'D205', 'D207', 'D208']
    """
    rules = all_rules()
    chosen = matching_codes(select) if select is not None else set(rules)
    left_out = matching_codes(ignore) if ignore is not None else set()
    if not chosen - left_out:
        raise ValueError(
            f"`select` and `ignore` must leave at least one rule. Received: select={select!r}, ignore={ignore!r}"
        )
    return [rules[code] for code in rules if code in chosen - left_out]


def as_codes(codes: str | Iterable[str]) -> tuple[str, ...]:
    """Codes as a user gives them.

    Args:
        codes: One string, commas or spaces between them, or a collection of strings.

    Returns:
        One string per code.

    Raises:
        TypeError: If one is no string.

    Example:
    >>> as_codes("N101, D2")
    ('N101', 'D2')
    """
    if isinstance(codes, str):
        return tuple(codes.replace(",", " ").split())
    given = tuple(codes) if isinstance(codes, Iterable) else (codes,)
    if not all(isinstance(code, str) for code in given):
        raise TypeError(f"codes must be one string, or a collection of strings. Received: {codes!r}")
    return given


def matching_codes(codes: str | Iterable[str]) -> set[str]:
    """The codes of the rules that codes or prefixes of codes match.

    Args:
        codes: Codes or prefixes, as in `select_rules`.

    Returns:
        Full codes.

    Raises:
        TypeError: If a code is no string.
        ValueError: If one matches no rule.

    Example:
    >>> sorted(matching_codes("D203, R301"))
    ['D203', 'R301']
    """
    rules = all_rules()
    found: set[str] = set()
    for code in as_codes(codes):
        matches = {known for known in rules if known.startswith(code.upper())}
        if not matches or not code:
            raise ValueError(
                f"there is no rule {code!r}. Known rules: {', '.join(rules)}; a prefix such as 'N' selects a family."
            )
        found |= matches
    return found


@cache
def _load() -> None:
    package = importlib.import_module("advisor.rules")
    for module in pkgutil.walk_packages(package.__path__, "advisor.rules."):
        importlib.import_module(module.name)
    for entry in entry_points(group=ENTRY_POINT_GROUP):
        loaded = entry.load()
        if isinstance(loaded, type) and issubclass(loaded, Rule):
            rule(loaded)
