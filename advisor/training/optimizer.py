"""Optimizers made anew with the settings that are planned."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import keras

from advisor.facts import Kind, kind_of
from advisor.graph.keras_internals import layer_tree, own_variables

_CLIPPING = ("clipnorm", "clipvalue", "global_clipnorm")

_NEVER_DECAYED = frozenset({Kind.NORM, Kind.EMBEDDING})


def with_gradient_clipping(optimizer: Any, clipnorm: float) -> Any:
    """A new optimizer that scales the gradient of each variable to a norm of at most `clipnorm`.

    Args:
        optimizer: What `compile` takes: an optimizer, its name or its configuration. It is not changed.
        clipnorm: The largest norm, above 0.

    Returns:
        A new `keras.optimizers.Optimizer` that has not been built; of an optimizer that clips already, in whatever way,
        a copy.

    Example:
    >>> import keras
    >>> with_gradient_clipping("adam", 1.0).clipnorm
    1.0
    >>> with_gradient_clipping(keras.optimizers.SGD(clipvalue=0.5), 1.0).clipnorm is None
    True

    References:
        Pascanu et al. 2013, arXiv:1211.5063, algorithm 1.
    """
    optimizer = keras.optimizers.get(optimizer)
    return _renewed(optimizer, {} if clips(optimizer) else {"clipnorm": clipnorm})


def clips(optimizer: Any) -> bool:
    """Whether an optimizer clips gradients, in whatever way."""
    optimizer = _innermost(optimizer)
    return any(getattr(optimizer, name, None) is not None for name in _CLIPPING)


def with_learning_rate(optimizer: Any, learning_rate: float) -> Any:
    """A new optimizer with another learning rate; of one that follows a schedule, a copy.

    Args:
        optimizer: What `compile` takes: an optimizer, its name or its configuration. It is not changed.
        learning_rate: The learning rate.

    Returns:
        A new `keras.optimizers.Optimizer` that has not been built.

    Example:
    >>> float(with_learning_rate("sgd", 0.5).learning_rate)
    0.5
    """
    optimizer = keras.optimizers.get(optimizer)
    return _renewed(optimizer, {} if follows_schedule(optimizer) else {"learning_rate": learning_rate})


def follows_schedule(optimizer: Any) -> bool:
    """Whether the learning rate of an optimizer is a schedule, which nothing else may change."""
    config = _innermost(optimizer).get_config()
    return not isinstance(config["learning_rate"], (int, float))


def _innermost(optimizer: Any) -> Any:
    return getattr(optimizer, "inner_optimizer", optimizer)


def _renewed(optimizer: Any, changes: Mapping[str, Any]) -> Any:
    """An optimizer of the same class and arguments but for the changes, inside its loss scaling where it has one."""
    if isinstance(optimizer, keras.optimizers.LossScaleOptimizer):
        inner = _renewed(optimizer.inner_optimizer, changes)
        return keras.optimizers.LossScaleOptimizer(inner, optimizer.initial_scale, optimizer.dynamic_growth_steps)
    return type(optimizer).from_config({**optimizer.get_config(), **changes})


def with_weight_decay(optimizer: Any, weight_decay: float, model: Any) -> Any:
    """A new optimizer with decoupled weight decay for a model.

    Every Keras optimizer applies its `weight_decay` decoupled from the gradient: `w ← w − lr · weight_decay · w`, then
    its own step. The new optimizer has the class and arguments of the given one; `Adam` becomes `AdamW`, the name of
    the same thing. Variables of `undecayed_variables` are left out. Keras does not store that choice in a file: after
    loading a model in the middle of training, compile it by the plan again.

    Args:
        optimizer: What `compile` takes: an optimizer, its name or its configuration. It is not changed.
        weight_decay: Decay per step and unit of learning rate, at least 0.
        model: The built model that will be trained.

    Returns:
        A new `keras.optimizers.Optimizer` that has not been built.

    Raises:
        ValueError: If `weight_decay` is negative or not finite.

    Example:
    >>> import keras
    >>> model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(2)])
    >>> optimizer = with_weight_decay(keras.optimizers.Adam(1e-2), 1e-4, model)
    >>> type(optimizer).__name__, optimizer.weight_decay
    ('AdamW', 0.0001)

    References:
        Loshchilov & Hutter 2019, arXiv:1711.05101, algorithms 1 and 2; He et al. 2019, arXiv:1812.01187, section 3.1
        ("no bias decay").
    """
    if not (math.isfinite(weight_decay) and weight_decay >= 0):
        raise ValueError(f"`weight_decay` must be a finite number of at least 0. Received: weight_decay={weight_decay}")
    optimizer = keras.optimizers.get(optimizer)
    if isinstance(optimizer, keras.optimizers.LossScaleOptimizer):
        inner = with_weight_decay(optimizer.inner_optimizer, weight_decay, model)
        return keras.optimizers.LossScaleOptimizer(inner, optimizer.initial_scale, optimizer.dynamic_growth_steps)
    config = {**optimizer.get_config(), "weight_decay": weight_decay}
    cls = type(optimizer)
    if cls is keras.optimizers.Adam:
        cls = keras.optimizers.AdamW
        del config["name"]
    decaying = cls.from_config(config)
    decaying.exclude_from_weight_decay(var_list=undecayed_variables(model))
    return decaying


def undecayed_variables(model: Any) -> list[Any]:
    """The variables of a model that weight decay should leave alone.

    These are biases, the scales and offsets of normalizations, embeddings, and everything else that is a vector (a
    learned slope, a class token); kernels of every sort are decayed. A row of an embedding gets a gradient only when
    its token is in the batch, but decay at every step, so the rows of rare tokens would shrink to nothing.

    Args:
        model: A built model.

    Returns:
        The variables, inner layers' included.

    Example:
    >>> import keras
    >>> model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(2), keras.layers.BatchNormalization()])
    >>> [variable.name for variable in undecayed_variables(model)]
    ['bias', 'gamma', 'beta']

    References:
        He et al. 2019, arXiv:1812.01187, section 3.1: decay on the weights of convolution and dense layers only. He et
        al. 2015, arXiv:1502.01852, section 2.1: no decay on the slopes of PReLU. For embeddings:
        https://github.com/karpathy/minGPT/pull/24 and https://github.com/pytorch/torchtitan/issues/2599.
    """
    return [
        variable
        for layer in layer_tree(model)
        for variable in own_variables(layer)
        if variable.trainable and not _is_decayed(layer, variable)
    ]


def _is_decayed(layer: Any, variable: Any) -> bool:
    if kind_of(layer) in _NEVER_DECAYED or "bias" in variable.name:
        return False
    is_matrix = sum(size > 1 for size in variable.shape) > 1
    # A kernel with one unit or one input is a vector by its shape only.
    return is_matrix or "kernel" in variable.name
