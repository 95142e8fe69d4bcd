"""Settings of a project, read from its `pyproject.toml` or `setup.cfg`."""

from __future__ import annotations

import configparser
import difflib
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from advisor.cli.options import Safety, Target, Task

SECTION = "keras-advisor"
"""`[tool.keras-advisor]` of `pyproject.toml`, `[keras-advisor]` of `setup.cfg`."""

FILES = ("pyproject.toml", "setup.cfg")
"""In the order in which they count within one folder."""

_ROOT_MARKS = (".git", ".hg")


@dataclass(frozen=True)
class Configuration:
    """What a project asks of the advisor.

    Attributes:
        settings: Arguments of `advise` by name, `safety` of `Advice.apply`, and `baseline`, the path of a file; only
            those that are set.
        file: Where they stand, or None where no file has the section.

    Example:
    >>> import tempfile
    >>> from pathlib import Path
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     file = Path(folder) / "setup.cfg"
    ...     _ = file.write_text("[keras-advisor]\\nignore = D2, N106\\nbatch-size = 8\\n")
    ...     dict(read_configuration(file).settings)
    {'ignore': ('D2', 'N106'), 'batch_size': 8}
    """

    settings: Mapping[str, Any] = field(default_factory=dict)
    file: Path | None = None


def settings_of_run(given: Mapping[str, Any], file: Path | None, *, isolated: bool) -> dict[str, Any]:
    """What holds for one run: the options given, and the project's settings where no option says otherwise.

    Args:
        given: Options by name, those that were given.
        file: The configuration file to read, or None to look for one from the current folder upwards.
        isolated: Whether to read none.

    Returns:
        Settings as in `Configuration`.

    Raises:
        ConfigurationError: As `read_configuration`, or if both a file and `isolated` are given.
        ValueError: If an option is of the wrong form.
    """
    if isolated and file is not None:
        raise ConfigurationError("give either a configuration file or --isolated, not both")
    if isolated:
        configuration = Configuration()
    else:
        configuration = find_configuration(Path.cwd()) if file is None else read_configuration(file)
    options = dict(given)
    if "per_layer_ignores" in options:
        try:
            options["per_layer_ignores"] = layer_patterns("\n".join(options["per_layer_ignores"]))
        except ValueError as error:
            received = options["per_layer_ignores"]
            raise ValueError(f"--per-layer-ignores must be {error}. Received: {received}") from None
    return {**configuration.settings, **options}


NOT_FOR_ADVISE = ("safety", "baseline")
"""Settings that are no arguments of `advise`."""


def arguments_of_advise(
    settings: Mapping[str, Any], told: Mapping[str, Any], given: Mapping[str, Any]
) -> dict[str, Any]:
    """The arguments of `advise` for one model.

    Args:
        settings: What holds for the run, as from `settings_of_run`.
        told: What the function that made the model says; it counts before the settings of the project.
        given: The options that were given, which count before all.

    Returns:
        The arguments.
    """
    merged = {**settings, **told, **{name: settings.get(name, value) for name, value in given.items()}}
    return {name: value for name, value in merged.items() if name not in NOT_FOR_ADVISE}


class ConfigurationError(ValueError):
    """A configuration file that cannot be read or asks for what there is not; the message names file and setting."""


def find_configuration(folder: Path) -> Configuration:
    """The configuration that counts for a folder: that of the nearest file with the section, upwards.

    The search ends at the root of the repository. In one folder `pyproject.toml` counts before `setup.cfg`.

    Args:
        folder: Where to begin.

    Returns:
        The configuration, without settings where there is none.

    Raises:
        ConfigurationError: If the file cannot be read, or holds settings that there are not.
    """
    for candidate in (folder.resolve(), *folder.resolve().parents):
        for name in FILES:
            file = candidate / name
            if file.is_file() and (found := _section(file)) is not None:
                return _checked(found, file)
        if any((candidate / mark).exists() for mark in _ROOT_MARKS):
            break
    return Configuration()


def read_configuration(file: str | Path) -> Configuration:
    """The configuration in one file.

    Args:
        file: A `.toml` file with `[tool.keras-advisor]`, or one in the style of `setup.cfg` with `[keras-advisor]`.

    Returns:
        The configuration.

    Raises:
        ConfigurationError: If there is no such file or section, or it holds settings that there are not.
    """
    path = Path(file)
    if not path.is_file():
        raise ConfigurationError(f"there is no configuration file {str(path)!r}")
    found = _section(path)
    if found is None:
        heading = f"[tool.{SECTION}]" if path.suffix == ".toml" else f"[{SECTION}]"
        raise ConfigurationError(f"{str(path)!r} has no section {heading}")
    return _checked(found, path)


def _section(file: Path) -> Mapping[str, Any] | None:
    try:
        if file.suffix == ".toml":
            found = tomllib.loads(file.read_text("utf-8")).get("tool", {}).get(SECTION)
            if found is not None and not isinstance(found, Mapping):
                raise ConfigurationError(f"`tool.{SECTION}` of {str(file)!r} must be a table. Received: {found!r}")
            return found
        parser = configparser.ConfigParser(interpolation=None)
        parser.read_string(file.read_text("utf-8"))
        return dict(parser[SECTION]) if parser.has_section(SECTION) else None
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError, configparser.Error) as error:
        raise ConfigurationError(f"{str(file)!r} cannot be read: {error}") from error


def _checked(section: Mapping[str, Any], file: Path) -> Configuration:
    settings = {}
    for key, value in section.items():
        name = key.replace("-", "_")
        if name not in _READERS:
            close = difflib.get_close_matches(name, _READERS, n=1)
            hint = f"; did you mean {_spelled(close[0])}?" if close else ""
            known = ", ".join(map(_spelled, _READERS))
            raise ConfigurationError(f"{str(file)!r} has the unknown setting {key!r}{hint} Known settings: {known}")
        try:
            settings[name] = _READERS[name](value)
        except (ValueError, TypeError) as error:
            raise ConfigurationError(
                f"{_spelled(name)!r} in {str(file)!r} must be {error}. Received: {value!r}"
            ) from None
    if "baseline" in settings:
        settings["baseline"] = file.parent / settings["baseline"]
    return Configuration(settings, file)


def _spelled(name: str) -> str:
    return name.replace("_", "-")


def _codes(value: Any) -> tuple[str, ...]:
    parts = value.replace(",", " ").split() if isinstance(value, str) else value
    if not isinstance(parts, (list, tuple, str)) or not all(isinstance(part, str) for part in parts):
        raise TypeError("codes or prefixes of codes")
    return tuple(parts)


def _count(value: Any) -> int:
    text = str(value).strip()
    # A bool is an int in Python, and its text no digit.
    if not text.isdecimal() or int(text) < 1:
        raise ValueError("a whole number of at least 1")
    return int(text)


def _file(value: Any) -> str:
    if not isinstance(value, str) or not value.strip():
        raise ValueError("the path of a file")
    return value.strip()


def _one_of(*choices: str) -> Callable[[Any], str]:
    def read(value: Any) -> str:
        if value not in choices:
            raise ValueError(f"one of {', '.join(map(str, choices))}")
        return str(value)

    return read


def layer_patterns(value: Any) -> dict[str, tuple[str, ...]]:
    """Codes by patterns of layer paths, from a table or from lines of `pattern: codes`.

    Raises:
        ValueError: If it is neither.
        TypeError: Likewise.

    Example:
    >>> layer_patterns("backbone/*: N102, D")
    {'backbone/*': ('N102', 'D')}
    """
    expected = "patterns of layer paths with codes, such as `backbone/*: N102`"
    if isinstance(value, str):
        lines = [line.strip() for line in value.splitlines() if line.strip()]
        if not all(":" in line for line in lines):
            raise ValueError(expected)
        value = {pattern.strip(): codes for pattern, codes in (line.rsplit(":", 1) for line in lines)}
    if not isinstance(value, Mapping):
        raise TypeError(expected)
    return {str(pattern): _codes(codes) for pattern, codes in value.items()}


_READERS: Mapping[str, Callable[[Any], Any]] = {
    "select": _codes,
    "ignore": _codes,
    "per_layer_ignores": layer_patterns,
    "batch_size": _count,
    "epochs": _count,
    "steps_per_epoch": _count,
    "replicas": _count,
    "target": _one_of(*Target),
    "task": _one_of(*Task),
    "safety": _one_of(*Safety),
    "baseline": _file,
}
