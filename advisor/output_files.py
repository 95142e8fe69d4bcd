"""Files and folders that appear only when complete, at places that were found usable before the work began."""

from __future__ import annotations

import os
import secrets
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


def checked_target(path: str | os.PathLike[str], *, suffix: str = "", overwrite: bool = True) -> Path:
    """The path of a file to be written, once it is found usable.

    Args:
        path: Where the file is to be written.
        suffix: How the name must end; anything when empty.
        overwrite: Whether an existing file may be replaced.

    Returns:
        The path.

    Raises:
        FileExistsError: If there is a file already, and it may not be replaced.
        IsADirectoryError: If the path is a directory.
        NotADirectoryError: If its directory does not exist.
        PermissionError: If its directory cannot be written to.
        ValueError: If the name does not end as it must.
    """
    target = Path(path)
    if not target.name.endswith(suffix):
        raise ValueError(f"the name of the output file must end in {suffix!r}. Received: {str(target)!r}")
    if target.is_dir():
        raise IsADirectoryError(f"the output must be a file, and this is a directory. Received: {str(target)!r}")
    _check_parent(target)
    if target.exists() and not overwrite:
        raise FileExistsError(f"the output file exists; pass --force to replace it. Received: {str(target)!r}")
    return target


def checked_folder(path: str | os.PathLike[str], *, holding: str) -> Path:
    """The path of a folder to be written, once it is found usable.

    Args:
        path: Where the folder is to be written.
        holding: A file by which a folder is known that may be replaced; any other is only used when empty.

    Returns:
        The path.

    Raises:
        FileExistsError: If there is a folder already that holds something else.
        NotADirectoryError: If there is a file already, or the folder around it does not exist.
        PermissionError: If the folder around it cannot be written to.
    """
    target = Path(path)
    if target.exists() and not target.is_dir():
        raise NotADirectoryError(f"the output must be a folder, and this is a file. Received: {str(target)!r}")
    if target.is_symlink():
        raise FileExistsError(f"the output must be a folder of its own, and this is a link. Received: {str(target)!r}")
    _check_parent(target)
    if target.is_dir() and any(target.iterdir()) and not (target / holding).is_file():
        raise FileExistsError(
            f"the output folder must be new, empty or one with a {holding} in it, which is replaced; remove it or name "
            f"another. Received: {str(target)!r}"
        )
    return target


def _check_parent(target: Path) -> None:
    if not target.parent.is_dir():
        raise NotADirectoryError(
            f"the directory of the output file must exist; create it with `mkdir -p {target.parent}`. "
            f"Received: {str(target)!r}"
        )
    try:
        tempfile.TemporaryFile(dir=target.parent).close()
    except OSError as error:
        raise PermissionError(
            f"the directory of the output file must be writable ({error.strerror}). Received: {str(target)!r}"
        ) from error


@contextmanager
def complete_file(target: Path) -> Iterator[Path]:
    """Gives the path of an empty file beside `target` that takes its place when the block ends well.

    Args:
        target: The file to write; an existing one stays until the new one is complete.

    Yields:
        The path to write to, with the suffix of `target`.

    Raises:
        OSError: If the file cannot be written.
    """
    temporary = target.with_name(f".{target.stem}.{secrets.token_hex(4)}{target.suffix}")
    temporary.open("x").close()
    try:
        yield temporary
        os.replace(temporary, target)
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def complete_folder(target: Path) -> Iterator[Path]:
    """Gives the path of a new folder beside `target` that takes its place when the block ends well.

    Args:
        target: The folder to write; an existing one stays until the new one is complete.

    Yields:
        The path of an empty folder to write to.

    Raises:
        OSError: If the folder cannot be written.
    """
    target = target.absolute()
    temporary = target.with_name(f".{target.name}.{secrets.token_hex(4)}")
    temporary.mkdir()
    try:
        yield temporary
        _replace_folder(target, temporary)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _replace_folder(target: Path, new: Path) -> None:
    """Moves a folder to the place of another; no system call does that at once for one that holds something."""
    if not target.exists():
        os.replace(new, target)
        return
    old = target.with_name(f"{new.name}.old")
    try:
        os.replace(target, old)
        os.replace(new, target)
    finally:
        if target.exists():
            shutil.rmtree(old, ignore_errors=True)
        else:
            os.replace(old, target)


def write_text(target: Path, text: str) -> None:
    """Write a text file, whole or not at all."""
    with complete_file(target) as temporary:
        temporary.write_text(text, "utf-8")
