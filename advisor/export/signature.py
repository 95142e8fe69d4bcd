"""The inputs of the exported function: names, static shapes, dtypes, and the structure the Keras model takes."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np

from advisor.export.errors import ExportError
from advisor.graph import keras_internals

# Keras numbers unnamed tensors across the process, so their names change from run to run.
_AUTOMATIC_NAME = re.compile(r"keras_tensor(_\d+)?")
_EXPORTED_DTYPES = {"float16": "float32", "bfloat16": "float32", "float64": "float32"}
_SUPPORTED_DTYPES = {"float32", "bool", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64"}


@dataclass(frozen=True)
class InputTensor:
    """One input of the exported function.

    Attributes:
        name: What the input is fed by.
        shape: Static shape, batch axis first.
        dtype: NumPy name of the dtype.
    """

    name: str
    shape: tuple[int, ...]
    dtype: str


@dataclass(frozen=True)
class Signature:
    """All inputs of the exported function.

    Attributes:
        inputs: The inputs in Keras's flat order.
        structure: The structure the model is called with; every leaf is the name of an input.
    """

    inputs: tuple[InputTensor, ...]
    structure: Any

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the inputs in Keras's flat order."""
        return tuple(tensor.name for tensor in self.inputs)

    @property
    def batch_size(self) -> int:
        """The size of the batch axis of every input."""
        return self.inputs[0].shape[0]

    def pack(self, values: Mapping[str, Any]) -> Any:
        """Values by name, put into the structure the model is called with."""
        return keras.tree.map_structure(lambda name: values[name], self.structure)


def read_signature(model: keras.Model, samples: Any, batch_size: int) -> Signature:
    """Names, shapes and dtypes of a model's inputs.

    Args:
        model: A built model.
        samples: Arrays in the structure of the model's inputs, or None. They fix what the model leaves open.
        batch_size: Size of the batch axis.

    Returns:
        The signature.

    Raises:
        ExportError: If a shape stays open, or `samples` or `batch_size` do not fit the model.
    """
    symbolic = symbolic_inputs(model)
    if symbolic is not None:
        shapes = [tuple(tensor.shape) for tensor in keras.tree.flatten(symbolic)]
        dtypes = [keras.backend.standardize_dtype(tensor.dtype) for tensor in keras.tree.flatten(symbolic)]
        names = structure_names(symbolic, _own_names(keras.tree.flatten(symbolic)))
        structure = symbolic
    elif samples is not None:
        shapes = [(None, *np.shape(array)[1:]) for array in keras.tree.flatten(samples)]
        dtypes = [str(np.asarray(array).dtype) for array in keras.tree.flatten(samples)]
        names = structure_names(samples, _numbered("input", len(shapes)))
        structure = samples
    else:
        raise ExportError(
            f"Model '{model.name}' ({type(model).__name__}) does not declare its inputs, as subclassed models do not. "
            "Pass `verify_data` with inputs it takes: they give the shapes and dtypes. Received: verify_data=None"
        )
    arrays = [None] * len(names) if samples is None else keras.tree.flatten(samples)
    inputs = [
        InputTensor(name, _static_shape(model, name, shape, array, batch_size), _exported_dtype(model, name, dtype))
        for name, shape, dtype, array in zip(names, shapes, dtypes, arrays, strict=True)
    ]
    return Signature(tuple(inputs), keras.tree.pack_sequence_as(structure, list(names)))


def symbolic_inputs(model: keras.Model) -> Any:
    """The model's symbolic inputs in their structure; None for a model that declares none."""
    functional = keras_internals.functional_form(model)
    return None if functional is None else keras_internals.input_structure(functional)


def input_names(model: keras.Model) -> tuple[str, ...] | None:
    """The names that the exported model's inputs have, in flat order; None for a model that declares none."""
    symbolic = symbolic_inputs(model)
    return None if symbolic is None else structure_names(symbolic, _own_names(keras.tree.flatten(symbolic)))


def structure_names(structure: Any, fallback: Sequence[str]) -> tuple[str, ...]:
    """Unique identifiers for the leaves of a structure: their keys where it has keys, else the names given.

    Args:
        structure: A tensor, or lists, tuples and dictionaries of tensors.
        fallback: One name per leaf for leaves that no dictionary key leads to.

    Returns:
        One name per leaf, in flat order.

    Example:
    >>> structure_names({"mask": 1, "image": [2, 3]}, ["a", "b", "c"])
    ('image_0', 'image_1', 'mask')
    >>> structure_names([1, 2], ["left hand", "left-hand"])
    ('left_hand', 'left_hand_1')
    """
    names: list[str] = []
    for (path, _), own in zip(keras.tree.flatten_with_path(structure), fallback, strict=True):
        keyed = any(isinstance(key, str) for key in path)
        names.append(_unused(_identifier("_".join(map(str, path)) if keyed else own), names))
    return tuple(names)


def _own_names(tensors: Sequence[Any]) -> list[str]:
    numbered = _numbered("input", len(tensors))
    return [
        number if _AUTOMATIC_NAME.fullmatch(tensor.name) else tensor.name
        for tensor, number in zip(tensors, numbered, strict=True)
    ]


def _numbered(stem: str, count: int) -> list[str]:
    return [stem] if count == 1 else [f"{stem}_{index}" for index in range(count)]


def _identifier(text: str) -> str:
    """The text as a name that a SavedModel signature takes: ASCII letters, digits and underscores, no digit first."""
    name = re.sub(r"[^0-9A-Za-z_]", "_", text)
    return name if re.match(r"[A-Za-z]", name) else f"t_{name}"


def _unused(name: str, taken: Iterable[str]) -> str:
    candidate, number = name, 0
    while candidate in taken:
        number += 1
        candidate = f"{name}_{number}"
    return candidate


def _static_shape(
    model: keras.Model, name: str, shape: tuple[int | None, ...], array: Any, batch_size: int
) -> tuple[int, ...]:
    if shape[0] not in (None, batch_size):
        raise ExportError(
            f"Input '{name}' of model '{model.name}' is built for batches of {shape[0]}; pass `batch_size={shape[0]}`. "
            f"Received: batch_size={batch_size}"
        )
    if array is None:
        if None in shape[1:]:
            raise ExportError(
                f"Input '{name}' of model '{model.name}' has open axes, and a .tflite file has static shapes. Pass "
                "`verify_data` of the shape to export for. For sequences this is the longest one: shorter ones are "
                "padded to it, and masked by the model's `Masking` or `Embedding(mask_zero=True)`. "
                f"Received: shape={shape}, verify_data=None"
            )
        return (batch_size, *(axis for axis in shape[1:] if axis is not None))
    given = np.shape(array)
    if len(given) != len(shape) or any(
        axis not in (None, size) for axis, size in zip(shape[1:], given[1:], strict=True)
    ):
        raise ExportError(
            f"`verify_data` for input '{name}' of model '{model.name}' must have the shape {shape}. Received: {given}"
        )
    return (batch_size, *given[1:])


def _exported_dtype(model: keras.Model, name: str, dtype: str) -> str:
    exported = _EXPORTED_DTYPES.get(dtype, dtype)
    if exported not in _SUPPORTED_DTYPES:
        raise ExportError(
            f"Input '{name}' of model '{model.name}' must be numeric or boolean; do the text processing before the "
            f"exported model. Received: dtype={dtype}"
        )
    return exported
