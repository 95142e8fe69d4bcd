"""Computing in float32, whatever policy a model was built with."""

from collections.abc import Iterator
from contextlib import contextmanager

import keras

from advisor.export.errors import ExportError
from advisor.graph import keras_internals


def check_weights_are_float32(model: keras.Model) -> None:
    """Refuses a model whose weights are stored in another float than float32 (mixed policies store float32).

    Raises:
        ExportError: If there is such a weight.
    """
    for variable in model.variables:
        dtype = keras.backend.standardize_dtype(variable.dtype)
        if dtype in ("float16", "bfloat16", "float64"):
            raise ExportError(
                f"Weight '{variable.path}' of model '{model.name}' must be float32. Build the model again with the "
                "dtype policy 'float32' (or a mixed one) and copy the weights with `set_weights(model.get_weights())`. "
                f"Received: dtype={dtype}"
            )


def mixed_policies(model: keras.Model) -> tuple[str, ...]:
    """Names of the policies in the model that compute in another float than float32."""
    policies = {layer.dtype_policy.name for layer in _layers_not_in_float32(model)}
    return tuple(sorted(policies))


@contextmanager
def computing_in_float32(*models: keras.Model) -> Iterator[None]:
    """Lets all layers of the models compute in float32 for the time of the block."""
    changed = [(layer, layer.dtype_policy) for model in models for layer in _layers_not_in_float32(model)]
    try:
        for layer, _ in changed:
            layer.dtype_policy = "float32"
        yield
    finally:
        for layer, policy in changed:
            layer.dtype_policy = policy


def _layers_not_in_float32(model: keras.Model) -> list[keras.Layer]:
    return [layer for layer in keras_internals.layer_tree(model) if layer.dtype_policy.compute_dtype != "float32"]
