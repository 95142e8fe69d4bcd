"""Code of the user that the command line runs: a module imported, a function of it called."""

from __future__ import annotations

import difflib
import importlib
import inspect
import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stdout
from pathlib import Path
from typing import Any


class UserCodeError(ValueError):
    """Code of the user that raised an error.

    Attributes:
        trace: The traceback, from where that code begins.
    """

    def __init__(self, message: str, trace: str) -> None:
        super().__init__(message)
        self.trace = trace


def find_in_module(module: str, name: str) -> Any:
    """What a module has under a name; it is looked for in the current folder first, and then among what is installed.

    Args:
        module: Name of the module, with those of its packages.
        name: Name in it.

    Returns:
        What stands under the name.

    Raises:
        UserCodeError: If importing the module raises an error.
        ValueError: If there is no such module, or no such name in it.
    """
    imported = _imported(module)
    if not hasattr(imported, name):
        functions = [known for known, value in vars(imported).items() if callable(value) and known[0] != "_"]
        close = difflib.get_close_matches(name, functions, n=1)
        hint = f"did you mean {close[0]}?" if close else f"it has {', '.join(sorted(functions)) or 'no functions'}."
        raise ValueError(f"module {module!r} has no {name!r}; {hint} Received: '{module}:{name}'")
    return getattr(imported, name)


def call_without_arguments(function: Callable[..., Any], name: str) -> Any:
    """What a function returns.

    Args:
        function: The function.
        name: What the user calls it.

    Returns:
        Whatever it returns.

    Raises:
        UserCodeError: If it raises an error.
        ValueError: If it needs arguments.
    """
    needed = _needed_arguments(function)
    if needed:
        raise ValueError(
            f"{name!r} must be callable without arguments; give them defaults, or name a function that calls it. "
            f"Received: a function that needs {', '.join(needed)}"
        )
    with _errors_told(f"{name!r} raised"):
        return function()


def _imported(module: str) -> Any:
    folder = str(Path.cwd())
    if folder not in sys.path:
        sys.path.insert(0, folder)
    try:
        with _errors_told(f"importing {module!r} raised", but=ModuleNotFoundError):
            return importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name is not None and f"{module}.".startswith(f"{error.name}."):
            raise ValueError(
                f"there is no module {error.name!r}, neither in the current folder nor installed. Received: {module!r}"
            ) from None
        raise UserCodeError(f"importing {module!r} raised {_told(error)}", _users_part(error)) from None


def _needed_arguments(function: Callable[..., Any]) -> list[str]:
    try:
        parameters = inspect.signature(function).parameters.values()
    except ValueError:
        return []  # some written in C do not tell
    positional = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    return [one.name for one in parameters if one.default is one.empty and one.kind not in positional]


@contextmanager
def _errors_told(what: str, but: type[Exception] | tuple[()] = ()) -> Iterator[None]:
    """What the user's code prints goes to standard error, for standard output is the report's."""
    try:
        with redirect_stdout(sys.stderr):
            yield
    except but:
        raise
    except (Exception, SystemExit) as error:
        raise UserCodeError(f"{what} {_told(error)}", _users_part(error)) from None


def _told(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__


def _users_part(error: BaseException) -> str:
    trace = error.__traceback__
    while trace is not None and _is_machinery(trace.tb_frame.f_code.co_filename):
        trace = trace.tb_next
    return "".join(traceback.format_exception(type(error), error, trace))


def _is_machinery(file: str) -> bool:
    return file in (__file__, importlib.__file__) or file.startswith("<frozen importlib")
