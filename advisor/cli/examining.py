"""Models that a user named, examined."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from advisor.cli.configuration import arguments_of_advise
from advisor.cli.models import Loaded, named_model, with_structure
from advisor.cli.running import EXPLAINED, explain, import_keras, in_one_line

if TYPE_CHECKING:
    from advisor import Advice
    from advisor.model_source import Source
    from advisor.report.checked import Unread


@dataclass(frozen=True)
class Run:
    """What holds for all models of a run.

    Attributes:
        settings: What the project and the options ask for.
        given: The options alone.
        arrays: Arrays by name, by the argument of `advise` that they are for.
        unsafe: Whether files with Python code in them may be loaded, which runs it.
    """

    settings: Mapping[str, Any]
    given: Mapping[str, Any]
    arrays: Mapping[str, Mapping[str, Any]]
    unsafe: bool


@dataclass(frozen=True)
class Examined:
    """A model that was examined.

    Attributes:
        advice: The advice on it.
        source: Where it comes from.
        selected: Codes of the rules that were to run.
    """

    advice: Advice
    source: Source
    selected: frozenset[str]


def examine_all(models: Sequence[str], run: Run) -> tuple[list[Examined], list[Unread]]:
    """Examine models; one that cannot be does not keep the others from it.

    Args:
        models: Models as the user named them.
        run: What holds for all of them.

    Returns:
        The models that were examined, and those that could not be, which is said on standard error as well.
    """
    from advisor.report.checked import Unread

    examined, unread = [], []
    for name in models:
        try:
            examined.append(examine(name, run))
        except EXPLAINED as error:
            explain(error)
            unread.append(Unread(name, in_one_line(error)))
    return examined, unread


def examine(name: str, run: Run) -> Examined:
    """Examine a model.

    Args:
        name: The model as the user named it.
        run: What holds for it.

    Returns:
        The advice, and where the model comes from.

    Raises:
        OSError: If a file cannot be read.
        ValueError: If there is no such model, or an argument does not fit it.
    """
    named = named_model(name)
    import_keras()
    return advised(with_structure(named, unsafe=run.unsafe), run)


def advised(loaded: Loaded, run: Run) -> Examined:
    """The advice on a model that is at hand; arguments and errors as those of `examine`."""
    from advisor import advise
    from advisor.rules import select_rules

    arguments = arguments_for(loaded, run)
    selected = select_rules(arguments.get("select"), arguments.get("ignore"))
    advice = advise(loaded.model, **arguments)
    return Examined(advice, loaded.source, frozenset(rule.code for rule in selected))


def arguments_for(loaded: Loaded, run: Run) -> dict[str, Any]:
    """The arguments of `advise` for a model, data included.

    Args:
        loaded: The model.
        run: What holds for it.

    Returns:
        The arguments.

    Raises:
        ValueError: If the data is not for that model.
    """
    from advisor.export.named_arrays import data_from_arrays

    data = {name: data_from_arrays(loaded.model, arrays) for name, arrays in run.arrays.items()}
    return arguments_of_advise(run.settings, loaded.told, run.given) | data
