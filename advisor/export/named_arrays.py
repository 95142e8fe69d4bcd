"""Data in arrays with names, as `.npz` files hold it, brought to the structure that `fit` takes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import keras
import numpy as np

from advisor.export.errors import ExportError
from advisor.export.signature import input_names, symbolic_inputs

INPUT, LABELS = "x", "y"


def data_from_arrays(model: keras.Model, arrays: Mapping[str, np.ndarray]) -> Any:
    """Inputs, or inputs and labels, out of arrays by name.

    Args:
        model: The model the data is for.
        arrays: One array per input, under the names that inputs have in the exported model, or a single one under `x`;
            labels under `y`, where there are any.

    Returns:
        The inputs in the structure the model takes, or `(inputs, labels)`.

    Raises:
        ExportError: If an input is missing, or there is an array too many.

    Example:
    >>> model = keras.Sequential([keras.Input((4,), name="pixels"), keras.layers.Dense(2)])
    >>> data_from_arrays(model, {"pixels": np.ones((1, 4)), "y": np.zeros(1)})[0]
    array([[1., 1., 1., 1.]])
    """
    names = input_names(model)
    by_name = names is not None and not (len(names) == 1 and INPUT in arrays)
    wanted = names if by_name else None
    given = set(arrays) - ({LABELS} - set(wanted or ()))
    if wanted is not None and given == set(wanted):
        inputs = keras.tree.pack_sequence_as(symbolic_inputs(model), [arrays[name] for name in wanted])
    elif wanted is None and given == {INPUT}:
        inputs = arrays[INPUT]
    elif names is None and given and INPUT not in given:
        inputs = {name: arrays[name] for name in sorted(given)}
    else:
        expected = ", ".join(names or ("one per input",)) + (f", or {INPUT}" if len(names or ()) == 1 else "")
        raise ExportError(
            f"The data must hold the inputs of model '{model.name}' by name ({expected}), and labels as {LABELS} or "
            f"none. Received: {', '.join(arrays) or 'no arrays'}"
        )
    labels = arrays[LABELS] if LABELS in arrays and LABELS not in given else None
    return inputs if labels is None else (inputs, labels)
