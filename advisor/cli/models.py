"""The model that a command is about: a `.keras` file, or a function that makes it."""

from __future__ import annotations

import inspect
import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from advisor.cli.running import import_keras
from advisor.cli.user_code import call_without_arguments, find_in_module
from advisor.model_source import Source

_FUNCTION = re.compile(r"(?P<module>[^\W\d]\w*(\.[^\W\d]\w*)*):(?P<function>[^\W\d]\w*)")


@dataclass(frozen=True)
class ModelFile:
    """A model in a file."""

    path: Path


@dataclass(frozen=True)
class ModelFunction:
    """A function, in a module, that makes a model."""

    module: str
    function: str

    def __str__(self) -> str:
        return f"{self.module}:{self.function}"


NamedModel = ModelFile | ModelFunction


@dataclass(frozen=True)
class Loaded:
    """A model that a user named, at hand.

    Attributes:
        model: The model.
        source: Where it comes from.
        told: Arguments of `advise` that the function which made it gave with it.
    """

    model: Any
    source: Source
    told: Mapping[str, Any] = field(default_factory=dict)


def named_model(text: str) -> NamedModel:
    """What a user names as a model, without opening it; a file counts before a function.

    Args:
        text: The path of a file, or `package.module:function`.

    Returns:
        The file or the function.

    Raises:
        FileNotFoundError: If it is no function, and there is no such file.

    Example:
    >>> named_model("models.vision:small")
    ModelFunction(module='models.vision', function='small')
    """
    path = Path(text)
    function = _FUNCTION.fullmatch(text)
    if function and not path.exists():
        return ModelFunction(function["module"], function["function"])
    # Failing here saves the seconds that importing Keras takes.
    if not path.is_file():
        raise FileNotFoundError(
            f"there is no file {text!r}; give the path of a saved `.keras` model, or package.module:function"
        )
    return ModelFile(path)


def with_structure(named: NamedModel, *, unsafe: bool) -> Loaded:
    """The model, its weights left in its file until something asks for them.

    Args:
        named: The model.
        unsafe: Whether a file with Python code in it may be loaded, which runs it.

    Returns:
        The model at hand.

    Raises:
        OSError: If its file cannot be read.
        ValueError: If the file holds no model, or the function gives none.
    """
    import_keras()
    from advisor.loading import load_structure

    if isinstance(named, ModelFunction):
        return _made(named)
    return Loaded(load_structure(named.path, safe_mode=not unsafe), Source(str(named.path), named.path))


def as_a_whole(named: NamedModel, *, unsafe: bool) -> Loaded:
    """The model, in memory as a whole; arguments and errors as those of `with_structure`."""
    import_keras()
    from advisor.loading import load_model

    if isinstance(named, ModelFunction):
        return _made(named)
    return Loaded(load_model(named.path, safe_mode=not unsafe), Source(str(named.path), named.path))


def _made(named: ModelFunction) -> Loaded:
    import keras

    # Names that Keras gives go on counting; a model's must not depend on what was made before it.
    keras.utils.clear_session(free_memory=False)
    found = find_in_module(named.module, named.function)
    if isinstance(found, keras.Model) or not callable(found):
        made, source = found, _source(named, sys.modules[named.module])
    else:
        made, source = call_without_arguments(found, str(named)), _source(named, found)
    model, told = made if isinstance(made, tuple) and len(made) == 2 else (made, {})
    if not isinstance(model, keras.Model) or not isinstance(told, Mapping):
        raise ValueError(
            f"'{named}' must return a keras.Model, or a pair of one and a dictionary of arguments of `advise`. "
            f"Received: {_kind(made)}"
        )
    _check_told(named, told)
    return Loaded(model, source, told)


def _check_told(named: ModelFunction, told: Mapping[str, Any]) -> None:
    from advisor import advise

    known = [name for name in inspect.signature(advise).parameters if name not in ("model", "safe_mode", "verbose")]
    unknown = [str(name) for name in told if name not in known]
    if unknown:
        raise ValueError(
            f"the dictionary that '{named}' returns may hold the arguments {', '.join(known)} of `advise`. "
            f"Received: {', '.join(unknown)}"
        )


def _kind(made: Any) -> str:
    if isinstance(made, tuple):
        return f"a tuple of {', '.join(type(item).__name__ for item in made) or 'nothing'}"
    return type(made).__name__


def _source(named: ModelFunction, found: Any) -> Source:
    """Where the code of a function or class stands; that of its module where that is not known."""
    try:
        code = inspect.unwrap(found)
        return Source(str(named), Path(inspect.getsourcefile(code) or ""), inspect.getsourcelines(code)[1] or 1)
    except (TypeError, OSError):
        return Source(str(named), Path(sys.modules[named.module].__file__ or named.module))
