"""The layer under test and the inputs it is tested on."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np

Shape = tuple[int, ...]
# One array, or a list of them for a layer of several inputs; likewise for outputs.
Arrays = Any


@dataclass(frozen=True)
class Case:
    """A layer class with arguments and inputs.

    Args:
        layer_class: The class.
        init_kwargs: Arguments to make the layer with.
        input_shape: Shape of the inputs with the batch, or a list of shapes for a layer of several inputs.
        input_dtype: Dtype of the inputs; integers are drawn from 0 to 3.
        expected: Computes the outputs from inputs and weights, or `None`.
        dynamic_axes: Axes other than the batch that are of unknown size in a model.
    """

    layer_class: type[keras.layers.Layer]
    init_kwargs: Mapping[str, Any]
    input_shape: Shape | list[Shape]
    input_dtype: str
    expected: Callable[[Arrays, Mapping[str, np.ndarray]], Arrays] | None
    dynamic_axes: tuple[int, ...]

    @property
    def name(self) -> str:
        """The call that makes the layer."""
        arguments = ", ".join(f"{key}={value!r}" for key, value in self.init_kwargs.items())
        return f"{self.layer_class.__name__}({arguments})"

    @property
    def takes_floats(self) -> bool:
        """Whether the inputs are floats."""
        return "float" in self.input_dtype

    @property
    def batch_size(self) -> int:
        """Samples in a batch."""
        shape = self.input_shape[0]
        return shape if isinstance(shape, int) else shape[0]

    def make(self, policy: str = "float32") -> Any:
        """Makes a new layer; layers among the arguments are made anew, too.

        Args:
            policy: Name of the dtype policy.
        """
        arguments = {
            key: type(value).from_config({**value.get_config(), "dtype": policy})
            if isinstance(value, keras.layers.Layer)
            else value
            for key, value in self.init_kwargs.items()
        }
        return self.layer_class(**{**arguments, "dtype": policy})

    def inputs(self, batch: int | None = None) -> Arrays:
        """Draws inputs, the same ones every time.

        Args:
            batch: Number of samples, `batch_size` if not given.
        """
        generator = np.random.default_rng(0)

        def draw(shape: Shape) -> np.ndarray:
            sized = (batch or shape[0], *shape[1:])
            if self.takes_floats:
                return generator.normal(1.0, 2.0, sized).astype(self.input_dtype)
            return generator.integers(0, 4, sized).astype(self.input_dtype)

        return self._for_each_input(draw)

    def symbolic_inputs(self) -> Any:
        """Makes `keras.Input`s with the batch and the dynamic axes open."""

        def symbol(shape: Shape) -> Any:
            sizes = [None if axis in self.dynamic_axes else size for axis, size in enumerate(shape)]
            return keras.Input(tuple(sizes[1:]), dtype=self.input_dtype)

        return self._for_each_input(symbol)

    def model(self, layer: Any) -> Any:
        """Makes a functional model of nothing but the layer."""
        inputs = self.symbolic_inputs()
        return keras.Model(inputs, layer(inputs))

    def _for_each_input(self, function: Callable[[Shape], Any]) -> Any:
        if isinstance(self.input_shape, list):
            return [function(shape) for shape in self.input_shape]
        return function(self.input_shape)
