"""What a model must be to be exported, in any format."""

from __future__ import annotations

import math

import keras

from advisor.export.errors import ExportError
from advisor.export.precision import check_weights_are_float32
from advisor.graph import keras_internals


def check_exportable(model: keras.Model) -> None:
    """Refuses what no format can hold.

    Args:
        model: What is to be exported.

    Raises:
        ExportError: If it is no Keras model, is not built, keeps state between calls, has weights in another float than
            float32, or Keras does not run on TensorFlow.
    """
    if not isinstance(model, keras.Model):
        raise ExportError(f"`model` must be a keras.Model. Received: {model!r} (of type {type(model).__name__})")
    if keras.backend.backend() != "tensorflow":
        raise ExportError(
            "Models are exported on the TensorFlow backend of Keras. Save the model, set KERAS_BACKEND=tensorflow and "
            f"load it there. Received: backend={keras.backend.backend()!r}"
        )
    if not keras_internals.is_built(model):
        raise ExportError(
            f"Model '{model.name}' must be built: call it on a batch, or `model.build(input_shape)`, first. "
            "Received: a model without weights"
        )
    for layer in keras_internals.layer_tree(model):
        if getattr(layer, "stateful", False):
            raise ExportError(
                f"Layer '{layer.name}' must not be stateful: an exported function keeps nothing between calls. Build "
                f"the model again with `stateful=False`. Received: {type(layer).__name__}(stateful=True)"
            )
    check_weights_are_float32(model)


def check_options(tolerance: float | None, verbose: int | str) -> None:
    """Refuses values of arguments that all formats have.

    Raises:
        ExportError: If one is out of range.
    """
    if tolerance is not None and not (isinstance(tolerance, int | float) and 0 < tolerance < math.inf):
        raise ExportError(f"`tolerance` must be a number above 0, or None. Received: tolerance={tolerance!r}")
    if verbose not in (0, 1, 2, "auto"):
        raise ExportError(f"`verbose` must be 0, 1, 2 or 'auto'. Received: verbose={verbose!r}")
