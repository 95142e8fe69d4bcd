"""Which weights of a Keras layer are kernels, and which of their axes count output channels."""

from dataclasses import dataclass
from typing import Any

import keras

_LAST = (-1,)
_BEFORE_LAST = (-2,)
_LAST_TWO = (-2, -1)

# Kernel attributes with the axes of their output channels; the last kernel is the one that yields the outputs.
_KERNELS: dict[tuple[type, ...], tuple[tuple[str, tuple[int, ...]], ...]] = {
    (keras.layers.Dense, keras.layers.Conv1D, keras.layers.Conv2D, keras.layers.Conv3D): (("kernel", _LAST),),
    (keras.layers.Conv1DTranspose, keras.layers.Conv2DTranspose, keras.layers.Conv3DTranspose): (
        ("kernel", _BEFORE_LAST),
    ),
    (keras.layers.DepthwiseConv1D, keras.layers.DepthwiseConv2D): (("kernel", _LAST_TWO),),
    (keras.layers.SeparableConv1D, keras.layers.SeparableConv2D): (
        ("depthwise_kernel", _LAST_TWO),
        ("pointwise_kernel", _LAST),
    ),
    (keras.layers.Embedding,): (("embeddings", _LAST),),
}


@dataclass(frozen=True)
class KernelAxes:
    """One kernel of a layer.

    Args:
        attribute: Name of the layer's attribute that holds the variable.
        channels: The kernel's axes that count output channels, from the front, in increasing order.
        outputs: The axes of the layer's outputs that they become, counted from the end where negative.
    """

    attribute: str
    channels: tuple[int, ...]
    outputs: tuple[int, ...]


def supported_layers() -> list[str]:
    """Names the layer classes whose kernels are known."""
    return sorted({kind.__name__ for kinds in _KERNELS for kind in kinds} | {"EinsumDense"})


def is_supported(layer: keras.layers.Layer) -> bool:
    """Tells whether the kernels of a layer are known."""
    return isinstance(layer, (keras.layers.EinsumDense, *(kind for kinds in _KERNELS for kind in kinds)))


def kernels_of(layer: keras.layers.Layer) -> tuple[KernelAxes, ...]:
    """Lists the kernels of a built layer.

    Args:
        layer: A built layer of a class for which `is_supported` holds.

    Returns:
        The kernels; the last one yields the layer's outputs.
    """
    if isinstance(layer, keras.layers.EinsumDense):
        return (_einsum_kernel(layer.equation),)
    declared = next(entry for kinds, entry in _KERNELS.items() if isinstance(layer, kinds))
    outputs = (1,) if getattr(layer, "data_format", None) == "channels_first" else (-1,)
    return tuple(
        KernelAxes(name, tuple(axis % _rank(layer, name) for axis in axes), outputs) for name, axes in declared
    )


def _rank(layer: Any, attribute: str) -> int:
    return len(getattr(layer, attribute).shape)


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
