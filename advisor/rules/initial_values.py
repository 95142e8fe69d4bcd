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


_SELF_NORMALIZING = frozenset({"selu"})
_ONE_SIDED = frozenset({"relu", "relu6", "leaky_relu", "prelu", "elu", "celu", "gelu", "silu", "mish", "hard_silu"})


def suiting(activation: str | None) -> keras.initializers.Initializer:
    """The initializer whose variance keeps signals of one size through an activation, with a seed.

    Args:
        activation: Name of the activation behind the weights, None for none.

    Returns:
        He's for ReLU and its kin, which halve the variance; LeCun's for SELU; Glorot's else.

    Example:
    >>> type(suiting("relu")).__name__, type(suiting("tanh")).__name__
    ('HeNormal', 'GlorotUniform')

    References:
        He et al. 2015, arXiv:1502.01852; Glorot & Bengio 2010; Klambauer et al. 2017, arXiv:1706.02515.
    """
    if activation in _SELF_NORMALIZING:
        return keras.initializers.LecunNormal(seed=0)
    return keras.initializers.HeNormal(seed=0) if activation in _ONE_SIDED else keras.initializers.GlorotUniform(seed=0)


_SUITABLE = {
    "HeNormal": frozenset({"HeNormal", "HeUniform", "Orthogonal", "VarianceScaling"}),
    "LecunNormal": frozenset({"LecunNormal", "LecunUniform", "VarianceScaling"}),
    "GlorotUniform": frozenset({"GlorotUniform", "GlorotNormal", "LecunNormal", "LecunUniform", "Orthogonal"})
    | {"VarianceScaling"},
}


def suits(initializer: Any, activation: str | None) -> bool:
    """Whether an initializer, as a layer's configuration holds it, keeps signals of one size through an activation.

    Args:
        initializer: The serialized initializer.
        activation: Name of the activation behind the weights, None for none.

    Returns:
        Whether it is one of the family that `suiting` gives; an initializer of the user's own is taken to suit.

    Example:
    >>> import keras
    >>> suits(keras.initializers.serialize(keras.initializers.GlorotUniform()), "relu")
    False
    """
    if not isinstance(initializer, Mapping) or initializer.get("module") != "keras.initializers":
        return True
    return initializer.get("class_name") in _SUITABLE[type(suiting(activation)).__name__]
