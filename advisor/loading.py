"""The model a user names, loaded and built."""

from __future__ import annotations

import os
import zipfile
from pathlib import Path
from typing import Any

import keras

from advisor.graph.keras_internals import is_built
from advisor.rewrite.building import built_copy

LEGACY_SUFFIXES = (".h5", ".hdf5")
"""Of files in the HDF5 format of Keras 2."""


def ready_model(model: Any, data: Any) -> Any:
    """The model, loaded where a path is given, and built in a copy where it has no weights yet.

    Args:
        model: A Keras model or the path of a `.keras` file.
        data: What builds an unbuilt model, or None.

    Returns:
        The model.

    Raises:
        TypeError: If it is neither a Keras model nor a path.
        FileNotFoundError: If there is no file at the path.
        ValueError: If the file is no Keras model, or an unbuilt model cannot be built.
    """
    if isinstance(model, (str, os.PathLike)):
        model = load_model(model)
    if not isinstance(model, keras.Model):
        raise TypeError(
            f"`model` must be a keras.Model or the path of a `.keras` file. Received: {type(model).__name__}"
        )
    return model if is_built(model) else built_copy(model, data)


def load_model(path: str | os.PathLike[str]) -> Any:
    """Load a `.keras` file, with `safe_mode=True`.

    Args:
        path: The file.

    Returns:
        The model.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is no Keras model, or needs code that is not imported.
    """
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
    try:
        return keras.saving.load_model(file, safe_mode=True)
    except Exception as error:
        raise ValueError(f"{str(file)!r} could not be loaded as a Keras model: {_innermost_reason(error)}") from error


def _innermost_reason(error: Exception) -> str:
    """What went wrong, without the configuration of the whole model that Keras quotes around it."""
    return str(error).rpartition("Exception encountered: ")[2].partition("Full object config")[0].strip()
