"""Verification data: whatever `fit` takes, brought to a few arrays in the structure of the model's inputs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np

from advisor.export.errors import ExportError
from advisor.export.signature import Signature, symbolic_inputs

MAX_SAMPLES = 128


@dataclass(frozen=True)
class Samples:
    """Inputs to verify on.

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


def first_samples(model: keras.Model, data: Any) -> Any:
    """The inputs in verification data, as arrays in the structure the model takes.

    Args:
        model: The model the data is for.
        data: Arrays in the structure of the model's inputs, `(x, y)` as `fit` takes them, or a `tf.data.Dataset`,
            `keras.utils.PyDataset` or other iterable over such batches, of which the first is used.

    Returns:
        Arrays of at most `MAX_SAMPLES` rows, in the structure of the model's inputs.

    Raises:
        ExportError: If the data is empty, is not finite, or does not have the structure of the model's inputs.
    """
    x = _inputs_of(model, data)
    symbolic = symbolic_inputs(model)
    if symbolic is not None:
        x = _in_structure(model, symbolic, x)
    arrays = keras.tree.map_structure(lambda array: np.asarray(array)[:MAX_SAMPLES], x)
    rows = {len(array) if array.ndim else 0 for array in keras.tree.flatten(arrays)}
    if len(rows) != 1 or 0 in rows:
        raise ExportError(
            "`verify_data` must hold at least one sample, and as many for every input. "
            f"Received: shapes={[array.shape for array in keras.tree.flatten(arrays)]}"
        )
    unknown = sum(
        int(np.size(array) - np.isfinite(array).sum())
        for array in keras.tree.flatten(arrays)
        if array.dtype.kind == "f"
    )
    if unknown:
        raise ExportError(f"`verify_data` must hold finite numbers only. Received: {unknown} NaN or infinite values")
    return arrays


def samples_for(signature: Signature, structured: Any) -> Samples:
    """Arrays in the structure of the model's inputs, by name and in the dtypes of the signature."""
    flat = keras.tree.flatten(structured)
    arrays = {
        tensor.name: np.ascontiguousarray(array, dtype=tensor.dtype)
        for tensor, array in zip(signature.inputs, flat, strict=True)
    }
    return Samples(arrays, len(flat[0]))


def _inputs_of(model: keras.Model, data: Any) -> Any:
    if isinstance(data, keras.utils.PyDataset):
        return keras.utils.unpack_x_y_sample_weight(data[0])[0]
    if _is_array(data) or isinstance(data, dict | list):
        return data
    if isinstance(data, tuple):
        return data if _fits_structure(model, data) else keras.utils.unpack_x_y_sample_weight(data)[0]
    if isinstance(data, Iterable):
        batch = next(iter(data), None)
        if batch is not None:
            return keras.utils.unpack_x_y_sample_weight(batch)[0]
    raise ExportError(
        "`verify_data` must be arrays in the structure of the model's inputs, or a data set that yields batches of "
        f"them. Received: {data!r} (of type {type(data).__name__})"
    )


def _is_array(data: Any) -> bool:
    return hasattr(data, "shape") and hasattr(data, "__array__")


def _fits_structure(model: keras.Model, data: tuple[Any, ...]) -> bool:
    symbolic = symbolic_inputs(model)
    return isinstance(symbolic, list | tuple) and len(symbolic) == len(data) and all(map(_is_array, data))


def _in_structure(model: keras.Model, symbolic: Any, x: Any) -> Any:
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
            f"`verify_data` must have the structure of the inputs of model '{model.name}': {wanted}. "
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
