"""A file that appears only when it is complete."""

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from advisor.export.errors import ExportError

SUFFIX = ".tflite"


def checked_path(path: str | os.PathLike[str]) -> Path:
    """The output path, once its suffix and directory are found usable.

    Args:
        path: Where the model is to be written.

    Returns:
        The path.

    Raises:
        ExportError: If the suffix is not `.tflite`, the directory does not exist, or `path` is a directory.
    """
    target = Path(path)
    if target.suffix != SUFFIX:
        raise ExportError(f"`path` must end in '{SUFFIX}'. Received: path={os.fspath(path)!r}")
    if target.is_dir():
        raise ExportError(f"`path` must name a file, but it is a directory. Received: path={os.fspath(path)!r}")
    if not target.parent.is_dir():
        raise ExportError(
            f"The directory of `path` must exist; create it first (`mkdir -p {target.parent}`). "
            f"Received: path={os.fspath(path)!r}"
        )
    return target


@contextmanager
def complete_file(target: Path) -> Iterator[IO[bytes]]:
    """Opens a temporary file beside `target` that takes its place when the block ends well, and vanishes when not.

    Args:
        target: The file to write; an existing one is kept until the new one is complete.

    Yields:
        The temporary file, open for writing bytes.

    Raises:
        ExportError: If the directory cannot be written to.
    """
    temporary = target.with_name(f".{target.name}.{secrets.token_hex(4)}.tmp")
    try:
        stream = temporary.open("xb")
    except OSError as error:
        raise ExportError(
            f"The directory of `path` must be writable ({error.strerror}). Received: path={str(target)!r}"
        ) from error
    try:
        with stream:
            yield stream
        os.replace(temporary, target)
    finally:
        temporary.unlink(missing_ok=True)
