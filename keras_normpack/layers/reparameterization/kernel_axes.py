"""Which weights of a Keras layer are kernels, and which of their axes count output channels."""

import math
import operator
from dataclasses import dataclass, replace
from typing import Any

import keras
from keras import layers

_LAST = (-1,)
_BEFORE_LAST = (-2,)
_LAST_TWO = (-2, -1)

# Paths from the layer to its kernels, with the axes of their output channels; the last kernel yields the outputs.
_KERNELS: dict[tuple[type, ...], tuple[tuple[str, tuple[int, ...]], ...]] = {
    (layers.Dense, layers.Conv1D, layers.Conv2D, layers.Conv3D): (("kernel", _LAST),),
    (layers.Conv1DTranspose, layers.Conv2DTranspose, layers.Conv3DTranspose): (("kernel", _BEFORE_LAST),),
    (layers.DepthwiseConv1D, layers.DepthwiseConv2D): (("kernel", _LAST_TWO),),
    (layers.SeparableConv1D, layers.SeparableConv2D): (("depthwise_kernel", _LAST_TWO), ("pointwise_kernel", _LAST)),
    (layers.Embedding,): (("embeddings", _LAST),),
    (layers.SimpleRNNCell, layers.GRUCell, layers.LSTMCell): (("kernel", _LAST), ("recurrent_kernel", _LAST)),
    (layers.ConvLSTM1D, layers.ConvLSTM2D, layers.ConvLSTM3D): (
        ("cell.kernel", _LAST),
        ("cell.recurrent_kernel", _LAST),
    ),
}

LINEAR_LAYERS: tuple[type, ...] = (
    layers.Dense,
    layers.EinsumDense,
    *(layers.Conv1D, layers.Conv2D, layers.Conv3D),
    *(layers.Conv1DTranspose, layers.Conv2DTranspose, layers.Conv3DTranspose),
    *(layers.DepthwiseConv1D, layers.DepthwiseConv2D),
    *(layers.SeparableConv1D, layers.SeparableConv2D),
)
RECURRENT_LAYERS: tuple[type, ...] = (
    *(layers.SimpleRNNCell, layers.GRUCell, layers.LSTMCell),
    *(layers.SimpleRNN, layers.GRU, layers.LSTM),
    *(layers.ConvLSTM1D, layers.ConvLSTM2D, layers.ConvLSTM3D),
    *(layers.RNN, layers.Bidirectional),
)


@dataclass(frozen=True)
class KernelAxes:
    """One kernel of a layer.

    Args:
        path: Names of the attributes that lead from the layer to the variable, such as `"cell.kernel"`.
        channels: The kernel's axes that count output channels, from the front, in increasing order.
        outputs: The axes of the layer's outputs that they become, counted from the end where negative.
    """

    path: str
    channels: tuple[int, ...]
    outputs: tuple[int, ...]

    def variable(self, layer: Any) -> Any:
        """Finds the kernel variable in a layer of the kind the axes are of."""
        return operator.attrgetter(self.path)(layer)

    def summed(self, layer: Any) -> tuple[int, ...]:
        """Lists the kernel's axes other than those of the output channels."""
        return tuple(axis for axis in range(len(self.variable(layer).shape)) if axis not in self.channels)

    def shape(self, layer: Any) -> tuple[int, ...]:
        """Gives the sizes of the output channels' axes."""
        return tuple(self.variable(layer).shape[axis] for axis in self.channels)

    def fan_in(self, layer: Any) -> int:
        """Counts the kernel's entries per output channel."""
        return math.prod(self.variable(layer).shape[axis] for axis in self.summed(layer))

    def weight_name(self, suffix: str) -> str:
        """Names a weight that goes with the kernel, such as `"recurrent_g"` for `"cell.recurrent_kernel"`."""
        parts = self.path.replace("cell.", "").replace("_layer.", ".").split(".")
        return "_".join([*parts[:-1], parts[-1].removesuffix("_kernel"), suffix])


def is_supported(layer: Any, kinds: tuple[type, ...]) -> bool:
    """Tells whether a layer is of one of some kinds, and each part of it that holds kernels as well."""
    if not isinstance(layer, kinds):
        return False
    if isinstance(layer, layers.Bidirectional):
        return is_supported(layer.forward_layer, kinds) and is_supported(layer.backward_layer, kinds)
    if isinstance(layer, layers.RNN) and not _is_listed(layer):
        return is_supported(layer.cell, kinds)
    return True


def kernels_of(layer: Any) -> tuple[KernelAxes, ...]:
    """Lists the kernels of a built layer.

    Args:
        layer: A built layer for which `is_supported` holds.

    Returns:
        The kernels; the last one yields the layer's outputs.
    """
    if isinstance(layer, layers.EinsumDense):
        return (_einsum_kernel(layer.equation),)
    if isinstance(layer, layers.Bidirectional):
        return _within("forward_layer", layer) + _within("backward_layer", layer)
    if isinstance(layer, layers.RNN) and not _is_listed(layer):
        return _within("cell", layer)
    declared = next(entry for kinds, entry in _KERNELS.items() if isinstance(layer, kinds))
    outputs = (1,) if getattr(layer, "data_format", None) == "channels_first" else (-1,)
    return tuple(
        KernelAxes(path, tuple(axis % _rank(layer, path) for axis in axes), outputs) for path, axes in declared
    )


def _is_listed(layer: Any) -> bool:
    return any(isinstance(layer, kinds) for kinds in _KERNELS)


def _within(part: str, layer: Any) -> tuple[KernelAxes, ...]:
    return tuple(replace(kernel, path=f"{part}.{kernel.path}") for kernel in kernels_of(getattr(layer, part)))


def _rank(layer: keras.layers.Layer, path: str) -> int:
    return len(operator.attrgetter(path)(layer).shape)


def _einsum_kernel(equation: str) -> KernelAxes:
    """Output channels are the kernel's axes that are not summed over."""
    operands, result = equation.replace(" ", "").split("->")
    kernel = operands.split(",")[1]
    channels = [letter for letter in kernel if letter in result]
    return KernelAxes(
        "kernel",
        tuple(kernel.index(letter) for letter in channels),
        tuple(_position(result, letter) for letter in channels),
    )


def _position(result: str, letter: str) -> int:
    """Counts from the end for letters behind an ellipsis, which stands for any number of axes."""
    ellipsis = result.find("...")
    if 0 <= ellipsis < result.index(letter):
        return result.index(letter) - len(result)
    return result.index(letter)
