"""The model a user names, loaded and built."""

from __future__ import annotations

import os
import zipfile
from pathlib import Path
from typing import Any

import keras

from advisor.graph.keras_internals import is_built
from advisor.graph.stored_model import CONFIG, HostileFileError, read_stored_model
from advisor.rewrite.building import built_copy

LEGACY_SUFFIXES = (".h5", ".hdf5")
"""Of files in the HDF5 format of Keras 2."""


def ready_model(model: Any, data: Any, *, safe_mode: bool = True) -> Any:
    """The model, its structure loaded where a path is given, and built in a copy where it has no weights yet.

    Args:
        model: A Keras model or the path of a `.keras` file.
        data: What builds an unbuilt model, or None.
        safe_mode: As in `load_structure`.

    Returns:
        The model.

    Raises:
        TypeError: If it is neither a Keras model nor a path.
        FileNotFoundError: If there is no file at the path.
        ValueError: If the file is no Keras model, or an unbuilt model cannot be built.
    """
    if isinstance(model, (str, os.PathLike)):
        model = load_structure(model, safe_mode=safe_mode)
    if not isinstance(model, keras.Model):
        raise TypeError(
            f"`model` must be a keras.Model or the path of a `.keras` file. Received: {type(model).__name__}"
        )
    return model if is_built(model) else built_copy(model, data)


def load_structure(path: str | os.PathLike[str], *, safe_mode: bool = True) -> Any:
    """Load a `.keras` file without its weights, which are read when something asks for them.

    A model that cannot be made without values is loaded as a whole.

    Args:
        path: The file.
        safe_mode: Whether to refuse Python code in the file, which would be run.

    Returns:
        The model; `load_values` takes its weights into memory.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is no Keras model, needs code that is not imported, or holds code and `safe_mode` is on.
    """
    file = _checked(path)
    try:
        return read_stored_model(file, safe_mode=safe_mode)
    except HostileFileError as error:
        raise ValueError(f"{str(file)!r} is not read, as {error}; save the model anew with `model.save`") from error
    except Exception:
        # Layers that make variables from values cannot be built without; and Keras knows older forms of the file.
        return _loaded_whole(file, safe_mode=safe_mode)


def load_model(path: str | os.PathLike[str], *, safe_mode: bool = True) -> Any:
    """Load a `.keras` file.

    Args:
        path: The file.
        safe_mode: Whether to refuse Python code in the file, which would be run.

    Returns:
        The model.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is no Keras model, needs code that is not imported, or holds code and `safe_mode` is on.
    """
    return _loaded_whole(_checked(path), safe_mode=safe_mode)


def _checked(path: str | os.PathLike[str]) -> Path:
    file = Path(path)
    if not file.is_file():
        raise FileNotFoundError(f"there is no file {str(file)!r}; `model` must be a keras.Model or a `.keras` file")
    if file.suffix in LEGACY_SUFFIXES:
        raise ValueError(
            f"{str(file)!r} is no `.keras` model file; convert it with "
            f"`keras.saving.load_model({str(file)!r}).save({str(file.with_suffix('.keras'))!r})`"
        )
    if not zipfile.is_zipfile(file):
        raise ValueError(
            f"{str(file)!r} is no `.keras` model file, or not a whole one; save one with `model.save('name.keras')`"
        )
    return file


def _loaded_whole(file: Path, *, safe_mode: bool) -> Any:
    try:
        return keras.saving.load_model(file, safe_mode=safe_mode)
    except Exception as error:
        if safe_mode and _holds_code(file):
            raise ValueError(
                f"{str(file)!r} holds Python code (a Lambda layer), which loading it would run. If you trust the file, "
                "say so: `advise(path, safe_mode=False)`, or --unsafe on the command line"
            ) from error
        raise ValueError(f"{str(file)!r} could not be loaded as a Keras model: {_innermost_reason(error)}") from error


def _holds_code(file: Path) -> bool:
    try:
        with zipfile.ZipFile(file) as archive:
            return b'"__lambda__"' in archive.read(CONFIG)
    except Exception:
        return False  # it is damaged, or has no configuration, which is what the user hears of


def _innermost_reason(error: Exception) -> str:
    """What went wrong, without the configuration of the whole model that Keras quotes around it."""
    return str(error).rpartition("Exception encountered: ")[2].partition("Full object config")[0].strip()
