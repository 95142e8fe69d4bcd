"""What the rules know of one node."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import keras
import numpy as np

from advisor.facts.kinds import Kind, core_layer, kind_of
from advisor.graph import Node

LINEAR_KINDS = frozenset({Kind.CONV, Kind.DEPTHWISE, Kind.DENSE})


@dataclass(frozen=True, eq=False)
class LayerFacts:
    """One leaf of the graph, as the rules see it.

    Attributes:
        path: The node's path.
        name: The layer's own name.
        kind: What kind of layer it is; wrappers are looked through.
        cls: Class of the layer that does the work.
        wrapper: Class of the outermost wrapper around it, or None.
        input_shapes: Shape of each input, batch first; None where unknown.
        output_shape: Shape of the first output.
        masked: Whether a mask reaches the call.
        params: Number of weights, the shared ones of other calls included.
        flops: Multiplications and additions per sample at inference; unknown sizes count as one.
    """

    path: str
    name: str
    kind: Kind
    cls: type
    wrapper: type | None
    input_shapes: tuple[tuple[int | None, ...], ...]
    output_shape: tuple[int | None, ...]
    masked: bool
    params: int
    flops: int
    _layer: Any

    @cached_property
    def config(self) -> Mapping[str, Any]:
        """Constructor arguments of the layer that does the work."""
        return self._layer.get_config()

    @cached_property
    def activation(self) -> str | None:
        """Name of the activation the layer applies last: fused for linear layers, its own for activation layers.

        None for a layer that applies none; `"custom"` for a function without a name.
        """
        if self.kind is Kind.ACTIVATION:
            return _activation_layer_name(self._layer)
        if self.kind in LINEAR_KINDS:
            return _activation_name(getattr(self._layer, "activation", None))
        return None

    @property
    def is_linear(self) -> bool:
        """Whether it is a convolution or dense layer without a fused activation."""
        return self.kind in LINEAR_KINDS and self.activation is None

    @property
    def is_of_keras(self) -> bool:
        """Whether its class is a layer of Keras, not one of the user's own or one derived by the user."""
        return issubclass(self.cls, keras.Layer) and self.cls.__module__.split(".")[0] == "keras"

    @property
    def is_batch_norm(self) -> bool:
        """Whether it is batch normalization, Keras's or a subclass of it."""
        return issubclass(self.cls, keras.layers.BatchNormalization)

    @property
    def supports_masking(self) -> bool:
        """Whether the layer hands a mask on."""
        return bool(getattr(self._layer, "supports_masking", False))

    @property
    def is_synchronized(self) -> bool:
        """Whether it is batch normalization that averages over all replicas; Keras's does not where it has a mask."""
        gives_up = self.masked and self.cls is keras.layers.BatchNormalization
        return bool(getattr(self._layer, "synchronized", False)) and not gives_up

    @property
    def has_bias(self) -> bool:
        """Whether a linear layer adds a bias."""
        return bool(getattr(self._layer, "use_bias", False) or getattr(self._layer, "bias_axes", None))

    @property
    def channel_axis(self) -> int:
        """Axis of the output that holds the channels, counted from the front; 0 where the output is not known."""
        rank = len(self.output_shape)
        # Inside `TimeDistributed` the layer sees one axis less.
        hidden_axes = 1 if self.wrapper is keras.layers.TimeDistributed else 0
        axis = getattr(self._layer, "axis", None)
        if self.kind is Kind.NORM and isinstance(axis, int):
            return (axis + hidden_axes if axis >= 0 else axis) % max(rank, 1)
        if getattr(self._layer, "data_format", None) == "channels_first" and rank > 2:
            return 1 + hidden_axes
        return max(rank - 1, 0)

    @property
    def data_format(self) -> str | None:
        """`"channels_first"` or `"channels_last"` for a layer that has a layout of its own, else None."""
        return getattr(self._layer, "data_format", None)

    @property
    def is_pointwise(self) -> bool:
        """Whether it is a linear layer that works on each position alone: dense, or a convolution of width 1."""
        kernel = getattr(self._layer, "kernel_size", None)
        sizes = kernel if isinstance(kernel, (tuple, list)) else (kernel,)
        return self.kind is Kind.DENSE or (self.kind in LINEAR_KINDS and all(size == 1 for size in sizes))

    @property
    def channels(self) -> int | None:
        """Size of the channel axis of the output."""
        return self.output_shape[self.channel_axis] if self.output_shape else None

    @property
    def positions(self) -> int | None:
        """Values of one sample that share a channel: height × width, or time; 1 for dense features, None if unknown."""
        sizes = [size for axis, size in enumerate(self.output_shape) if axis not in (0, self.channel_axis)]
        return math.prod(size for size in sizes if size) if self.output_shape and None not in sizes else None

    @property
    def trainable(self) -> bool:
        """Whether training changes the layer."""
        return bool(self._layer.trainable) if isinstance(self._layer, keras.Layer) else False

    @property
    def moved(self) -> str | None:
        """Name of a variable that has left the constant it starts from, as training makes it; None where none has.

        Biases, scales, shifts and moving averages start from 0 or 1; kernels are random and tell nothing.
        """
        for name in ("moving_mean", "moving_variance", "bias", "beta", "gamma"):
            variable = getattr(self._layer, name, None)
            start = _CONSTANTS.get(type(getattr(self._layer, f"{name}_initializer", None)))
            if not isinstance(variable, keras.Variable) or start is None:
                continue
            if np.any(keras.ops.convert_to_numpy(variable.value) != start):
                return name
        return None

    @property
    def constant_kernel(self) -> float | None:
        """The value that all weights of a kernel with a constant initializer still have; None where they differ."""
        variable = getattr(self._layer, "kernel", None)
        initializer = getattr(self._layer, "kernel_initializer", None)
        constants = (*_CONSTANTS, keras.initializers.Constant)
        if not isinstance(initializer, constants) or not isinstance(variable, keras.Variable):
            return None
        values = keras.ops.convert_to_numpy(variable.value).ravel()
        return float(values[0]) if values.size and np.all(values == values[0]) else None

    @property
    def unbound_regularizers(self) -> Mapping[str, Any]:
        """Regularizers that are set on the layer but not on the variable they should punish, by attribute name."""
        found = {}
        for variable_name in ("kernel", "bias", "gamma", "beta", "embeddings", "recurrent_kernel", "depthwise_kernel"):
            regularizer = getattr(self._layer, f"{variable_name}_regularizer", None)
            variable = getattr(self._layer, variable_name, None)
            # With LoRA the kernel is computed, a tensor that no regularizer could be bound to.
            is_variable = isinstance(variable, keras.Variable)
            if regularizer is not None and is_variable and getattr(variable, "regularizer", None) is None:
                found[f"{variable_name}_regularizer"] = regularizer
        return found

    @property
    def has_penalty(self) -> bool:
        """Whether any weight of the layer is regularized, or its activity is."""
        if not isinstance(self._layer, keras.Layer):
            return False
        bound = any(getattr(variable, "regularizer", None) is not None for variable in self._layer.weights)
        return bound or getattr(self._layer, "activity_regularizer", None) is not None


_CONSTANTS = {keras.initializers.Zeros: 0.0, keras.initializers.Ones: 1.0}


def layer_facts(node: Node) -> LayerFacts:
    """The facts of one leaf.

    Args:
        node: A leaf of a `ModelGraph`.

    Returns:
        Its facts; everything costly is computed when first asked for.
    """
    layer = core_layer(node.operation)
    kind = kind_of(layer)
    weights = node.operation.weights if node.is_layer else []
    output_shape = node.output_shapes[0] if node.output_shapes else ()
    return LayerFacts(
        path=node.path,
        name=node.name,
        kind=kind,
        cls=type(layer),
        wrapper=type(node.operation) if layer is not node.operation else None,
        input_shapes=node.input_shapes,
        output_shape=output_shape,
        masked=bool(node.mask_sources),
        params=sum(math.prod(weight.shape) for weight in weights),
        flops=_flops(layer, kind, node.operation, node.input_shapes, output_shape),
        _layer=layer,
    )


def _known(sizes: tuple[int | None, ...]) -> int:
    return math.prod(size or 1 for size in sizes)


def _flops(
    layer: Any, kind: Kind, node_layer: Any, inputs: tuple[tuple[int | None, ...], ...], output: tuple[int | None, ...]
) -> int:
    if kind in (Kind.INPUT, Kind.EMBEDDING, Kind.RESHAPE, Kind.DROPOUT) or not output:
        return 0
    elements = _known(output[1:])
    if not isinstance(layer, keras.Layer):
        return elements
    # Attention has biases with an axis for the heads.
    matrices = sum(math.prod(w.shape) for w in node_layer.weights if len(w.shape) > 1 and w.name != "bias")
    if kind in (Kind.CONV, Kind.DEPTHWISE):
        channel_axis = 1 if getattr(layer, "data_format", None) == "channels_first" else len(output) - 1
        return 2 * matrices * _known(tuple(s for axis, s in enumerate(output) if axis not in (0, channel_axis)))
    if kind is Kind.DENSE:
        return 2 * matrices * _known(output[1:-1])
    if kind is Kind.RECURRENT:
        return 2 * matrices * _known(inputs[0][1:2])
    if kind is Kind.ATTENTION:
        length, width = _known(inputs[0][1:-1]), inputs[0][-1] or 1
        return 2 * matrices * length + 4 * length * length * width
    return elements


def _activation_name(function: Any) -> str | None:
    if function is None or function is keras.activations.linear:
        return None
    return getattr(function, "__name__", None) or "custom"


def _activation_layer_name(layer: Any) -> str:
    if isinstance(layer, keras.layers.Activation):
        return _activation_name(layer.activation) or "linear"
    name = type(layer).__name__
    return {"ReLU": "relu", "Softmax": "softmax", "LeakyReLU": "leaky_relu", "ELU": "elu", "PReLU": "prelu"}.get(
        name, name.lower()
    )
