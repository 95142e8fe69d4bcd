"""All rules: those of this package, found by walking it, those of installed plugins, and those a program declares."""

from __future__ import annotations

import importlib
import pkgutil
import traceback
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from importlib.metadata import entry_points
from typing import TypeVar

from advisor.rules.base import CODE_PATTERN, NAME_PATTERN, Rule

ENTRY_POINT_GROUP = "keras_advisor.rules"
"""A plugin names its rule classes, or modules that hold them, in this entry-point group."""

_PACKAGE = "advisor.rules"

_rules: dict[str, Rule] = {}
RuleClass = TypeVar("RuleClass", bound=type[Rule])


@dataclass(frozen=True)
class BrokenPlugin:
    """An entry point whose rules could not be loaded; all others are there.

    Attributes:
        name: The name of the entry point.
        error: Type and message of the exception, and where the entry point leads.
        trace: Its traceback, for a bug report.
    """

    name: str
    error: str
    trace: str


def rule(cls: RuleClass) -> RuleClass:
    """Class decorator that makes a rule known: from here on `advise` runs it with the others.

    For rules of your own the letter X is free: no rule of this package will ever have it. Declared again by the same
    module, as in a notebook whose cell is run twice, a rule takes the place of the one before.

    Args:
        cls: The rule.

    Returns:
        The same class.

    Raises:
        TypeError: If it lacks a code, a name, a severity or `check`.
        ValueError: If its code or name is malformed, its code begins with letters of this package's, or the code
            belongs to another rule.

    Example:
    >>> from advisor.rules import Rule, Severity
    >>> @rule
    ... class TooManyLayers(Rule):
    ...     code, name, severity = "X901", "too-many-layers", Severity.INFO
    ...
    ...     def check(self, facts):
    ...         if len(facts.layers) > 1000:
    ...             yield self.finding(message="more than 1,000 layers", why="nobody can read it")
    >>> all_rules()["X901"].name
    'too-many-layers'
    >>> del _rules["X901"]
    """
    missing = [attribute for attribute in ("code", "name", "severity") if not hasattr(cls, attribute)]
    if missing:
        raise TypeError(f"a rule must have a code, a name and a severity. Received: {cls.__name__} without {missing}")
    if not CODE_PATTERN.fullmatch(cls.code):
        raise ValueError(
            f"`code` of {cls.__name__} must be letters and three digits, like X101. Received: {cls.code!r}"
        )
    if not NAME_PATTERN.fullmatch(cls.name):
        raise ValueError(f"`name` of {cls.__name__} must be kebab-case. Received: {cls.name!r}")
    if not _is_own(cls):
        _load_own()
        _check_letters(cls)
    known = type(_rules[cls.code]) if cls.code in _rules else cls
    if (known.__module__, known.__qualname__) != (cls.__module__, cls.__qualname__):
        raise ValueError(
            f"the code {cls.code} belongs to {known.__module__}.{known.__qualname__}; take another one. "
            f"Received: {cls.__module__}.{cls.__qualname__}"
        )
    _rules[cls.code] = cls()
    return cls


def broken_plugins() -> tuple[BrokenPlugin, ...]:
    """Plugins whose rules could not be loaded, since their code raises or a code of theirs is taken.

    Returns:
        One entry per entry point that failed.

    Example:
    >>> broken_plugins()
    ()
    """
    _load_own()
    return _load_plugins()


def all_rules() -> Mapping[str, Rule]:
    """Every rule there is, plugins included.

    Returns:
        Rules by code, in order of the codes.

    Example:
    >>> all_rules()["D203"].name
    'dropout-rate-zero'
    """
    _load_own()
    _load_plugins()
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
def _load_own() -> None:
    package = importlib.import_module(_PACKAGE)
    for module in pkgutil.walk_packages(package.__path__, f"{_PACKAGE}."):
        importlib.import_module(module.name)


@cache
def _load_plugins() -> tuple[BrokenPlugin, ...]:
    broken = []
    for entry in entry_points(group=ENTRY_POINT_GROUP):
        try:
            loaded = entry.load()
            if isinstance(loaded, type) and issubclass(loaded, Rule):
                rule(loaded)
        except Exception as error:
            told = f"{type(error).__name__}: {error} (entry point {entry.value})"
            broken.append(BrokenPlugin(entry.name, told, traceback.format_exc()))
    return tuple(broken)


def _is_own(cls: type[Rule]) -> bool:
    return cls.__module__.startswith(f"{_PACKAGE}.")


def _check_letters(cls: type[Rule]) -> None:
    """A later version of this package may give any code with its letters to a rule of its own."""
    taken = sorted({code[:-3] for code, known in _rules.items() if _is_own(type(known))})
    if cls.code[:-3] in taken:
        raise ValueError(
            f"`code` of {cls.__name__} must not begin with the letters of a family of this package "
            f"({', '.join(taken)}); X is free for rules of your own. Received: {cls.code!r}"
        )
