"""Models without weights yet, built in a copy so that the user's own stays as it is."""

from __future__ import annotations

from typing import Any

import keras

from advisor.facts.data_source import look_into
from advisor.rewrite.compile_state import carry_compile_state


def built_copy(model: Any, data: Any) -> Any:
    """A copy of a model, built on the shapes of the data.

    Args:
        model: A model whose layers have no weights yet.
        data: What the model is to be trained on, or None.

    Returns:
        The copy.

    Raises:
        ValueError: If there is no data, the model cannot be copied, or the data does not fit it.
    """
    if data is None:
        raise ValueError(
            f"`{model.name}` is not built, so nothing is known of its shapes. Give it a `keras.Input`, call it once, "
            "or pass `data=`"
        )
    try:
        copy = type(model).from_config(model.get_config())
    except Exception as error:
        raise ValueError(
            f"`{model.name}` is not built and cannot be copied ({error}); call it once on a batch before `advise`"
        ) from error
    inputs = look_into(data, sample_shape=None, look_at=1, seed=0).batches[0][0]
    try:
        if isinstance(copy, keras.Sequential):
            copy.build((None, *inputs.shape[1:]))
        else:
            copy(inputs)
    except Exception as error:
        shapes = keras.tree.map_structure(lambda array: array.shape, inputs)
        raise ValueError(f"`data` does not fit `{model.name}`: {error} Received: inputs of shape {shapes}") from error
    carry_compile_state(model, copy, (), {})
    return copy
