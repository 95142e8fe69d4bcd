"""A Keras model as one TensorFlow function with static shapes, named inputs and named outputs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import keras

from advisor.export.errors import ExportError
from advisor.export.signature import Signature, structure_names
from advisor.graph import keras_internals


@dataclass(frozen=True)
class Trace:
    """A traced model.

    Attributes:
        function: The concrete function: inputs by name to a dictionary of outputs by name.
        outputs: The names of the outputs in Keras's flat order.
    """

    function: Any
    outputs: tuple[str, ...]


def trace(model: keras.Model, signature: Signature, outputs: tuple[str, ...] | None = None) -> Trace:
    """Traces a model at inference.

    Args:
        model: A built model.
        signature: Its inputs.
        outputs: Names for the flat outputs; None takes them from the model.

    Returns:
        The traced model.

    Raises:
        ExportError: If the model cannot be traced, as when its Python code branches on the values of a tensor.
    """
    import tensorflow as tf

    names: list[tuple[str, ...]] = []

    def serve(**inputs: Any) -> dict[str, Any]:
        result = model(signature.pack(inputs), training=False)
        names.append(outputs or _output_names(model, result))
        # The identities keep outputs apart that are one tensor, or are an input.
        return {name: tf.identity(y) for name, y in zip(names[-1], keras.tree.flatten(result), strict=True)}

    specs = {tensor.name: tf.TensorSpec(tensor.shape, tensor.dtype, tensor.name) for tensor in signature.inputs}
    try:
        # Keras code is written without AutoGraph, so a branch on a tensor is an error here as it is in `fit`.
        function = tf.function(serve, autograph=False).get_concrete_function(**specs)
    except Exception as error:
        raise ExportError(
            f"Model '{model.name}' ({type(model).__name__}) cannot be traced with static shapes. Write its `call` with "
            "`keras.ops` only, without Python branches on tensor values, NumPy calls or shapes that depend on data. "
            f"Received: inputs={ {t.name: t.shape for t in signature.inputs} }, {type(error).__name__}: {error}"
        ) from error
    return Trace(function, names[-1])


def _output_names(model: keras.Model, result: Any) -> tuple[str, ...]:
    count = len(keras.tree.flatten(result))
    functional = keras_internals.functional_form(model)
    layers = list(functional.output_names) if functional is not None else []
    numbered = ["output"] if count == 1 else [f"output_{index}" for index in range(count)]
    return structure_names(result, layers if len(layers) == count else numbered)
