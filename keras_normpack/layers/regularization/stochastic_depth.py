"""Stochastic depth as TensorFlow Addons had it: shortcut and branch in, one draw for the batch."""

from typing import Any

import keras
from keras import ops


@keras.saving.register_keras_serializable(package="keras_normpack")
class StochasticDepth(keras.layers.Layer):
    """Adds the branch of a residual block to its shortcut, in training only with the survival probability.

    Called on `[shortcut, residual]`. In training `shortcut + b · residual`, where `b` is 1 with probability
    `survival_probability` and 0 otherwise, one draw for the whole batch. At inference
    `shortcut + survival_probability · residual`. `DropPath` draws for each sample and rescales in training instead.

    Args:
        survival_probability: Float in [0, 1], the probability to keep the residual.
        seed: Integer, makes the draws repeatable; `None` for a random one.
        **kwargs: Arguments of `keras.layers.Layer`, such as `name` and `dtype`.

    Returns:
        A tensor of the shape of the shortcut.

    Raises:
        ValueError: If `survival_probability` is outside [0, 1], or the layer is called on anything but two tensors
            that can be added to the shape of the first.

    Example:
    >>> import numpy as np
    >>> layer = StochasticDepth(0.8)
    >>> outputs = layer([np.ones((2, 3)), np.ones((2, 3))])
    >>> print(keras.ops.convert_to_numpy(outputs)[0])
    [1.8 1.8 1.8]

    Source:
        Huang et al. 2016, arXiv:1603.09382, equations 2 (training) and 5 (inference); `tfa.layers.StochasticDepth`.
    """

    def __init__(self, survival_probability: float = 0.5, seed: int | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if isinstance(survival_probability, bool) or not 0 <= survival_probability <= 1:
            raise ValueError(
                f"Argument `survival_probability` of {type(self).__name__} must be a number in [0, 1], the probability "
                f"to keep the residual. Received: survival_probability={survival_probability!r}"
            )
        self.survival_probability = float(survival_probability)
        self.seed = seed
        self.seed_generator = keras.random.SeedGenerator(seed)
        self.supports_masking = True

    def build(self, input_shape: list[tuple[int | None, ...]]) -> None:
        """Checks that there are two inputs that can be added."""
        self._check_shapes(input_shape)

    def call(self, inputs: list[Any], training: bool = False) -> Any:
        """Adds the residual to the shortcut.

        Args:
            inputs: List `[shortcut, residual]` of float tensors.
            training: Whether to drop the residual by chance.

        Returns:
            A tensor of the shape of the shortcut.
        """
        shortcut, residual = inputs
        if not training:
            return shortcut + self.survival_probability * residual
        survives = keras.random.uniform((), dtype="float32", seed=self.seed_generator) < self.survival_probability
        return shortcut + ops.where(survives, residual, 0)

    def compute_mask(self, inputs: list[Any], previous_mask: Any = None) -> Any:
        """Gives on what `keras.layers.Add` gives on: positions that either input has, if both carry a mask."""
        shortcut_mask, residual_mask = previous_mask or (None, None)
        if shortcut_mask is None or residual_mask is None:
            return None
        return ops.logical_or(shortcut_mask, residual_mask)

    def compute_output_shape(self, input_shape: list[tuple[int | None, ...]]) -> tuple[int | None, ...]:
        """Gives the shape of the shortcut."""
        self._check_shapes(input_shape)
        return tuple(input_shape[0])

    def get_config(self) -> dict[str, Any]:
        """Gives the arguments the layer was made with."""
        return {**super().get_config(), "survival_probability": self.survival_probability, "seed": self.seed}

    def _check_shapes(self, input_shape: Any) -> None:
        if len(input_shape) != 2 or not all(isinstance(shape, list | tuple) for shape in input_shape):
            raise ValueError(
                f"{type(self).__name__} {self.name!r} must be called on a list of two tensors, [shortcut, residual]. "
                f"Received: input_shape={input_shape}"
            )
        shortcut, residual = input_shape
        addable = len(shortcut) == len(residual) and all(
            theirs in (ours, 1, None) or ours is None for ours, theirs in zip(shortcut, residual, strict=True)
        )
        if not addable:
            raise ValueError(
                f"{type(self).__name__} {self.name!r} needs a residual that can be added to its shortcut, of the same "
                f"size on every axis or of size 1. Received: shortcut {tuple(shortcut)}, residual {tuple(residual)}"
            )
