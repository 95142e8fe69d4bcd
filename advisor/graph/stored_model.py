"""A model read from a `.keras` file by its structure: a weight is read when it is asked for, and not kept.

A variable made in a scope without values asks its initializer whenever somebody wants its value. Here that initializer
reads the file. So a model larger than memory can be looked at, rewritten, run layer by layer and written again; each
time one weight is in memory.
"""

from __future__ import annotations

import io
import json
import os
import tempfile
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO

import keras

from advisor.graph import keras_internals as internals

CONFIG, METADATA, WEIGHTS, ASSETS = "config.json", "metadata.json", "model.weights.h5", "assets"
"""Members of a `.keras` file."""


class HostileFileError(ValueError):
    """A file made to do harm, which nothing else should read either."""


def read_stored_model(path: Path, *, safe_mode: bool) -> Any:
    """The model in a `.keras` file, with variables that read their values from the file whenever they are asked.

    Args:
        path: The file; it may be replaced or removed afterwards, but not written to.
        safe_mode: Whether to refuse Python code in it.

    Returns:
        The model, compiled as it was saved. `load_values` makes it one that is in memory as a whole.

    Raises:
        HostileFileError: If a member would unpack to far more than the file holds.
        Exception: Whatever Keras raises where the file cannot be read this way.
    """
    with zipfile.ZipFile(path) as archive:
        _refuse_bombs(archive)
        config = json.loads(archive.read(CONFIG))
        with internals.deferred_variables():
            model = internals.model_from_config(config, safe_mode=safe_mode)
        internals.compile_from_config(model, config, safe_mode=safe_mode)
        holders = internals.state_holders(model)
        stored = _StoredWeights(path, archive)
        for place, holder in holders.items():
            if hasattr(holder, "load_own_variables"):
                stored.bind(holder, place)
        _load_assets(holders, archive)
    return model


def all_variables(model: Any) -> list[Any]:
    """The variables of a model and its optimizer."""
    optimizer = getattr(model, "optimizer", None)
    return [*model.variables, *(optimizer.variables if optimizer is not None else ())]


def holds_values(model: Any) -> bool:
    """Whether every variable of a model has its value in memory."""
    return not any(internals.is_deferred(variable) for variable in all_variables(model))


def load_values(model: Any) -> Any:
    """Take all values of a model into memory, for good.

    Args:
        model: The model, which from then on is like any other.

    Returns:
        The same model.
    """
    for variable in model.variables:
        internals.initialize_fresh(variable)
    if getattr(model, "optimizer", None) is not None:
        internals.initialize_optimizer(model.optimizer)
    return model


class _StoredWeights:
    """The weights file inside a `.keras` file."""

    def __init__(self, path: Path, archive: zipfile.ZipFile) -> None:
        self._store = internals.weights_store(_opened(path, archive.getinfo(WEIGHTS)))

    def bind(self, holder: Any, place: str) -> None:
        """Let the variables of a layer or optimizer read their values from the file."""
        variables = _stored_as(holder)
        names = set(self._store.get(place).keys())
        if isinstance(holder, keras.Metric):
            for variable in holder.variables:
                internals.initialize_fresh(variable)
            return  # it begins anew in every epoch
        if isinstance(holder, keras.optimizers.Optimizer) and len(names) != len(variables or ()):
            return  # compiled, but never trained: its state begins anew
        if variables is None or set(variables) != names:
            self._bind_by_its_own_method(holder, place)
            return
        for name, variable in variables.items():
            if internals.is_deferred(variable):
                internals.defer_to(variable, partial(self._value, place, name, variable))
            else:
                variable.assign(self._store.get(place)[name])

    def _bind_by_its_own_method(self, holder: Any, place: str) -> None:
        """For what stores other things than its variables: for every value asked for, its `load_own_variables` runs."""
        scope = self._loaded(holder, place)
        for variable in getattr(holder, "variables", ()):
            value = scope.get_current_value(variable)
            if value is None:
                continue
            if internals.is_deferred(variable):
                internals.defer_to(variable, partial(self._value_by_its_own_method, holder, place, variable))
            else:
                variable.assign(value)

    def _value_by_its_own_method(self, holder: Any, place: str, variable: Any) -> Any:
        with _named_where_it_fails(variable):
            return self._loaded(holder, place).get_current_value(variable)

    def _loaded(self, holder: Any, place: str) -> keras.StatelessScope:
        with keras.StatelessScope() as scope:
            holder.load_own_variables(self._store.get(place))
        return scope

    def _value(self, place: str, name: str, variable: Any) -> Any:
        with _named_where_it_fails(variable):
            value = self._store.get(place)[name]
        if value.shape != tuple(variable.shape):
            raise ValueError(
                f"`{variable.path}` has the shape {tuple(variable.shape)}, and its stored value {value.shape}"
            )
        return value


@contextmanager
def _named_where_it_fails(variable: Any) -> Iterator[None]:
    """A value that cannot be read is the file's fault, and the error says whose value it is."""
    try:
        yield
    except Exception as error:
        raise ValueError(f"the value of `{variable.path}` cannot be read, the file is damaged: {error}") from error


def _stored_as(holder: Any) -> Mapping[str, Any] | None:
    """The variables of a layer or optimizer by the names under which Keras stores their values.

    None where it stores something else than the values of its variables, or has state that follows from them.
    """
    method = type(holder).load_own_variables
    if method.__module__.split(".")[0] != "keras" or hasattr(holder, "finalize_state"):
        return None
    if isinstance(holder, keras.optimizers.Optimizer):
        return {str(number): variable for number, variable in enumerate(holder.variables)}
    stored: dict[str, Any] = {}
    holder.save_own_variables(stored)
    return stored if all(isinstance(value, keras.Variable) for value in stored.values()) else None


def _refuse_bombs(archive: zipfile.ZipFile) -> None:
    """Keras packs nothing, so that a member that unpacks to far more than the file holds is an attack."""
    for member in archive.infolist():
        if member.file_size > max(1 << 28, 100 * member.compress_size):
            raise HostileFileError(f"its member {member.filename!r} would unpack to {member.file_size:,} bytes")


def _load_assets(holders: Mapping[str, Any], archive: zipfile.ZipFile) -> None:
    members = [name for name in archive.namelist() if name.startswith(f"{ASSETS}/")]
    if not members:
        return
    with tempfile.TemporaryDirectory() as folder:
        archive.extractall(folder, members)
        for place, holder in holders.items():
            found = Path(folder, ASSETS, place)
            if hasattr(holder, "load_assets") and found.is_dir():
                holder.load_assets(str(found))


def _opened(path: Path, member: zipfile.ZipInfo) -> BinaryIO:
    """A member of an archive as a file in which one can jump about."""
    if member.compress_type != zipfile.ZIP_STORED:
        raise ValueError(f"its member {member.filename!r} is compressed, which Keras never does")
    return io.BufferedReader(_Part(path, _begin(path, member), member.file_size))


def _begin(path: Path, member: zipfile.ZipInfo) -> int:
    """Where the content of a stored member begins: behind a header of 30 bytes, its name and an extra field."""
    with path.open("rb") as file:
        file.seek(member.header_offset)
        header = file.read(30)
    return member.header_offset + 30 + int.from_bytes(header[26:28], "little") + int.from_bytes(header[28:30], "little")


class _Part(io.RawIOBase):
    """A part of a file, as a file."""

    def __init__(self, path: Path, begin: int, size: int) -> None:
        self._file = path.open("rb", buffering=0)
        self._begin, self._size, self._position = begin, size, 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._position

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        self._position = offset + {os.SEEK_SET: 0, os.SEEK_CUR: self._position, os.SEEK_END: self._size}[whence]
        return self._position

    def readinto(self, buffer: Any) -> int:
        view = memoryview(buffer).cast("B")[: max(0, self._size - self._position)]
        self._file.seek(self._begin + self._position)
        count = self._file.readinto(view)
        self._position += count
        return count

    def close(self) -> None:
        self._file.close()
        super().close()
