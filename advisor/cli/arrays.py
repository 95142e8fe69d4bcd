"""Arrays in files that NumPy wrote."""

from __future__ import annotations

import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

SUFFIXES = (".npz", ".npy")


def checked_arrays_file(path: Path, option: str) -> Path:
    """The path of a file with arrays, once it is found to be one by its name.

    Args:
        path: The file.
        option: The option that it was given by.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If its name does not end as NumPy ends them.
    """
    if path.suffix not in SUFFIXES:
        raise ValueError(
            f"{option} must be a file that `numpy.savez` or `numpy.save` wrote, in .npz or .npy. "
            f"Received: {str(path)!r}"
        )
    if not path.is_file():
        raise FileNotFoundError(f"there is no file {str(path)!r}; {option} takes the path of an .npz or .npy file")
    return path


def read_arrays(path: Path) -> dict[str, Any]:
    """The arrays in a file by name; the one of an `.npy` file is called `x`.

    Args:
        path: The file.

    Returns:
        The arrays.

    Raises:
        ValueError: If it cannot be read, or holds Python objects, which reading would run.
    """
    import numpy as np

    try:
        content = np.load(path, allow_pickle=False)
        if isinstance(content, np.ndarray):
            return {"x": content}
        with content:
            return {name: content[name] for name in content.files}
    except (ValueError, EOFError, zipfile.BadZipFile) as error:
        raise ValueError(
            f"{str(path)!r} must hold arrays of numbers that NumPy wrote. Received: {type(error).__name__}: {error}"
        ) from error


def arrays_given(files: Mapping[str, Path | None]) -> dict[str, dict[str, Any]]:
    """The arrays in the files that were given, by the names of the options.

    Args:
        files: Files by the name of the option, such as `validation_data`; None where it was not given.

    Returns:
        Arrays by name, by option.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If one does not hold arrays.
    """
    checked = {
        name: checked_arrays_file(file, f"--{name.replace('_', '-')}")
        for name, file in files.items()
        if file is not None
    }
    return {name: read_arrays(file) for name, file in checked.items()}
