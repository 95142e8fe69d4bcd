"""Another initializer for a layer that has its weights already: the argument changed, and the weights drawn anew."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import keras
import numpy as np

from advisor.facts import LayerFacts
from advisor.graph import Configure, ReadVariable


def initialized_by(layer: LayerFacts, initializers: Mapping[str, str | keras.initializers.Initializer]) -> Configure:
    """The edit that gives variables of a layer another initializer and values drawn from it.

    An initializer works once, when a layer is built: to change only the argument of a built layer would change nothing.

    Args:
        layer: The layer, not yet trained; its variables of other names keep their values.
        initializers: Per variable name (`"kernel"`, `"pointwise_kernel"`), a name `keras.initializers.get` knows or
            an initializer; give it a seed, so that two rewrites agree.

    Returns:
        The edit.

    Example:
    >>> import keras
    >>> from advisor.facts import gather_facts
    >>> from advisor.graph import read_graph
    >>> dense = keras.layers.Dense(4, kernel_initializer="zeros", name="dense")
    >>> facts = gather_facts(read_graph(keras.Sequential([keras.Input((8,)), dense])))
    >>> edit = initialized_by(facts["dense"], {"kernel": keras.initializers.HeNormal(seed=0)})
    >>> list(edit.changes)
    ['kernel_initializer']
    """
    made = {name: keras.initializers.get(initializer) for name, initializer in initializers.items()}
    changes = {_argument(layer, name): keras.initializers.serialize(initializer) for name, initializer in made.items()}

    def drawn(read: ReadVariable) -> Mapping[str, np.ndarray]:
        values: dict[str, Any] = {name: read(layer.path, name) for name in made}
        return {
            name: keras.ops.convert_to_numpy(made[name](value.shape, dtype="float32")).astype(value.dtype)
            for name, value in values.items()
            if value is not None
        }

    return Configure(layer.path, changes, drawn)


def _argument(layer: LayerFacts, variable: str) -> str:
    """The argument that holds a variable's initializer; Keras does not name all of them after the variable."""
    names = (variable, variable.removesuffix("_kernel"), "depthwise" if variable == "kernel" else variable)
    return next(argument for name in names if (argument := f"{name}_initializer") in layer.config)
