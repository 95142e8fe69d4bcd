"""Data to verify and calibrate on: whatever `fit` takes, brought to a few arrays in the structure of the model."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np

from advisor.export.errors import ExportError
from advisor.export.signature import Signature, symbolic_inputs

MAX_SAMPLES = 128
MAX_LABELLED_SAMPLES = 1000
"""With labels more samples are taken, as far as they are small: a share of right answers needs many."""
MAX_LABELLED_BYTES = 2**28
SEARCHED_SAMPLES = 10_000
"""As far as a data set is read to draw representative samples from it."""


@dataclass(frozen=True)
class Samples:
    """Inputs to verify or calibrate on.

    Attributes:
        arrays: One array per input, by name, all with the same number of rows.
        count: The number of rows.
    """

    arrays: Mapping[str, np.ndarray]
    count: int

    def batches(self, batch_size: int) -> Iterator[dict[str, np.ndarray]]:
        """The rows in batches of equal size; the last one is filled up by repeating the last row."""
        for start in range(0, self.count, batch_size):
            rows = np.minimum(np.arange(start, start + batch_size), self.count - 1)
            yield {name: array[rows] for name, array in self.arrays.items()}

    def first(self, count: int) -> Samples:
        """The first rows, at most so many."""
        return Samples({name: array[:count] for name, array in self.arrays.items()}, min(count, self.count))


@dataclass(frozen=True, eq=False)
class Labelled:
    """Samples read out of data.

    Attributes:
        inputs: Arrays in the structure of the model's inputs.
        labels: Arrays in the structure the data has them in; None where it has none.
    """

    inputs: Any
    labels: Any = None

    @property
    def count(self) -> int:
        """Number of samples."""
        return len(keras.tree.flatten(self.inputs)[0])

    def rows(self, which: slice | np.ndarray) -> Labelled:
        """Some of the samples, by their positions."""
        return Labelled(_rows(self.inputs, which), _rows(self.labels, which))


def verification_samples(model: keras.Model, data: Any, argument: str = "verify_data") -> Labelled:
    """The first samples of verification data, with their labels.

    Args:
        model: The model the data is for.
        data: Arrays in the structure of the model's inputs, `(x, y)` as `fit` takes them, or a `tf.data.Dataset`,
            `keras.utils.PyDataset` or other iterable over such batches.
        argument: What the user calls the data.

    Returns:
        At most `MAX_SAMPLES`; with labels at most `MAX_LABELLED_SAMPLES` whose inputs take `MAX_LABELLED_BYTES`.

    Raises:
        ExportError: If the data is empty, is not finite, or does not have the structure of the model's inputs.
    """
    wanted = MAX_SAMPLES
    taken: list[Labelled] = []
    for batch in _batches(model, data, argument):
        if not taken:
            wanted = _wanted(batch)
        taken.append(batch.rows(slice(wanted)))
        wanted -= taken[-1].count
        if wanted <= 0:
            break
    return _joined(taken, argument)


def drawn_samples(
    model: keras.Model, data: Any, count: int, seed: int, argument: str = "representative_data"
) -> Labelled:
    """A random sample of data, without replacement, in the order of the data.

    Every sample of arrays, and every one of the first `SEARCHED_SAMPLES` of a data set, is as likely to be drawn as any
    other, however the data is sorted.

    Args:
        model: The model the data is for.
        data: What `verification_samples` takes.
        count: How many to draw, at least 1; all where there are fewer.
        seed: Seed of the draw.
        argument: What the user calls the data.

    Returns:
        The samples.

    Raises:
        ExportError: As `verification_samples` does.
    """
    generator = np.random.default_rng(seed)
    drawn: Labelled | None = None
    keys = np.empty(0)
    seen = 0
    # Every sample draws a key, and those with the smallest keys stay.
    for batch in _batches(model, data, argument):
        fresh = generator.random(batch.count)
        limit = np.inf if len(keys) < count else keys.max()
        near = np.flatnonzero(fresh < limit)
        keys = np.concatenate([keys, fresh[near]])
        pool = batch.rows(near) if drawn is None else _joined([drawn, batch.rows(near)], argument)
        kept = np.sort(np.argsort(keys)[:count])
        drawn, keys = pool.rows(kept), keys[kept]
        seen += batch.count
        if seen >= SEARCHED_SAMPLES:
            break
    return _joined([] if drawn is None else [drawn], argument)


def samples_for(signature: Signature, structured: Any) -> Samples:
    """Arrays in the structure of the model's inputs, by name and in the dtypes of the signature."""
    flat = keras.tree.flatten(structured)
    arrays = {
        tensor.name: np.ascontiguousarray(array, dtype=tensor.dtype)
        for tensor, array in zip(signature.inputs, flat, strict=True)
    }
    return Samples(arrays, len(flat[0]))


def calibration_samples(signature: Signature, drawn: Labelled, argument: str = "representative_data") -> Samples:
    """Representative samples by name, held against the shapes that are exported.

    Raises:
        ExportError: If a shape is another than the one that is exported.
    """
    for tensor, array in zip(signature.inputs, keras.tree.flatten(drawn.inputs), strict=True):
        if array.shape[1:] != tensor.shape[1:]:
            raise ExportError(
                f"`{argument}` for input '{tensor.name}' must have the shape that is exported, "
                f"{(None, *tensor.shape[1:])}. Received: {array.shape}"
            )
    return samples_for(signature, drawn.inputs)


def _wanted(batch: Labelled) -> int:
    if batch.labels is None:
        return MAX_SAMPLES
    sample_bytes = max(1, sum(array[:1].nbytes for array in keras.tree.flatten(batch.inputs)))
    return max(MAX_SAMPLES, min(MAX_LABELLED_SAMPLES, MAX_LABELLED_BYTES // sample_bytes))


def _joined(parts: list[Labelled], argument: str) -> Labelled:
    if not parts:
        raise ExportError(f"`{argument}` must hold at least one sample. Received: a data set without batches")
    try:
        return Labelled(
            keras.tree.map_structure(lambda *arrays: np.concatenate(arrays), *[part.inputs for part in parts]),
            keras.tree.map_structure(
                lambda *arrays: None if arrays[0] is None else np.concatenate(arrays), *[part.labels for part in parts]
            ),
        )
    except ValueError as error:
        shapes = [[array.shape for array in keras.tree.flatten(part.inputs)] for part in parts[:3]]
        raise ExportError(
            f"The batches of `{argument}` must have samples of one shape. Received: shapes {shapes}"
        ) from error


def _rows(structure: Any, which: slice | np.ndarray) -> Any:
    return keras.tree.map_structure(lambda array: None if array is None else array[which], structure)


def _batches(model: keras.Model, data: Any, argument: str) -> Iterator[Labelled]:
    """The batches of data as NumPy arrays that were looked over."""
    symbolic = symbolic_inputs(model)
    for x, y in _pairs(model, data, argument):
        inputs = x if symbolic is None else _in_structure(model, symbolic, x, argument)
        arrays = keras.tree.map_structure(np.asarray, inputs)
        labels = keras.tree.map_structure(lambda leaf: None if leaf is None else np.asarray(leaf), y)
        _check_rows(arrays, labels, argument)
        _check_values(arrays, symbolic, argument)
        yield Labelled(arrays, labels)


def _check_rows(arrays: Any, labels: Any, argument: str) -> None:
    flat = keras.tree.flatten(arrays)
    rows = {len(array) if array.ndim else 0 for array in flat}
    if len(rows) != 1 or 0 in rows:
        raise ExportError(
            f"`{argument}` must hold at least one sample, and as many for every input. "
            f"Received: shapes={[array.shape for array in flat]}"
        )
    flat_labels = [label for label in keras.tree.flatten(labels) if label is not None]
    if any(label.shape[:1] != (len(flat[0]),) for label in flat_labels):
        raise ExportError(
            f"`{argument}` must hold as many labels as samples. "
            f"Received: {len(flat[0])} samples, labels of the shapes {[label.shape for label in flat_labels]}"
        )


def _check_values(arrays: Any, symbolic: Any, argument: str) -> None:
    flat = keras.tree.flatten(arrays)
    unknown = sum(int(np.size(array) - np.isfinite(array).sum()) for array in flat if array.dtype.kind == "f")
    if unknown:
        raise ExportError(f"`{argument}` must hold finite numbers only. Received: {unknown} NaN or infinite values")
    for tensor, array in zip([] if symbolic is None else keras.tree.flatten(symbolic), flat, strict=False):
        wanted = keras.backend.standardize_dtype(tensor.dtype)
        if "int" in wanted and array.dtype.kind == "f" and (array != np.rint(array)).any():
            raise ExportError(
                f"`{argument}` for input '{tensor.name}' must hold whole numbers, for the input is of dtype {wanted}. "
                f"Received: values such as {array[array != np.rint(array)][0]:g}"
            )


def _pairs(model: keras.Model, data: Any, argument: str) -> Iterator[tuple[Any, Any]]:
    if isinstance(data, keras.utils.PyDataset):
        yield from (_pair(data[index]) for index in range(data.num_batches or 1))
    elif _is_array(data) or isinstance(data, dict | list):
        yield data, None
    elif isinstance(data, tuple):
        yield (data, None) if _fits_structure(model, data) else _pair(data)
    elif isinstance(data, Iterable):
        yield from map(_pair, data)
    else:
        raise ExportError(
            f"`{argument}` must be arrays in the structure of the model's inputs, or a data set that yields batches of "
            f"them. Received: {data!r} (of type {type(data).__name__})"
        )


def _pair(batch: Any) -> tuple[Any, Any]:
    x, y, _ = keras.utils.unpack_x_y_sample_weight(batch)
    return x, y


def _is_array(data: Any) -> bool:
    return hasattr(data, "shape") and hasattr(data, "__array__")


def _fits_structure(model: keras.Model, data: tuple[Any, ...]) -> bool:
    symbolic = symbolic_inputs(model)
    return isinstance(symbolic, list | tuple) and len(symbolic) == len(data) and all(map(_is_array, data))


def _in_structure(model: keras.Model, symbolic: Any, x: Any, argument: str) -> Any:
    tensors = keras.tree.flatten(symbolic)
    if isinstance(x, Mapping) and not isinstance(symbolic, Mapping):
        wanted: Any = [tensor.name for tensor in tensors]
        flat = [x[name] for name in wanted] if set(x) == set(wanted) else []
    elif len(tensors) == 1 and not isinstance(x, Mapping):
        wanted = "one array"
        flat = [x[0] if isinstance(x, list | tuple) and len(x) == 1 and _is_array(x[0]) else x]
    else:
        wanted = keras.tree.map_structure(lambda tensor: tensor.shape, symbolic)
        flat = keras.tree.flatten(x) if _same_structure(symbolic, x) else []
    if not flat:
        raise ExportError(
            f"`{argument}` must have the structure of the inputs of model '{model.name}': {wanted}. "
            f"Received: {keras.tree.map_structure(np.shape, x) if not _is_array(x) else x.shape}"
        )
    ranked = [_with_feature_axis(np.asarray(array), tensor) for array, tensor in zip(flat, tensors, strict=True)]
    return keras.tree.pack_sequence_as(symbolic, ranked)


def _same_structure(symbolic: Any, x: Any) -> bool:
    try:
        keras.tree.assert_same_structure(keras.tree.lists_to_tuples(symbolic), keras.tree.lists_to_tuples(x))
    except (ValueError, TypeError):
        return False
    return True


def _with_feature_axis(array: np.ndarray, tensor: Any) -> np.ndarray:
    """`(batch,)` as `(batch, 1)` where the model takes one feature, as Keras itself does it."""
    return array[..., None] if array.ndim == len(tensor.shape) - 1 and tensor.shape[-1] == 1 else array
