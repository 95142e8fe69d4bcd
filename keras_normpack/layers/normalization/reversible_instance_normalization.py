"""Reversible instance normalization."""

from typing import Any

import keras
from keras import ops

from keras_normpack.layers.arguments import channels_on, check_positive
from keras_normpack.layers.normalization.channel_affine import ChannelAffine
from keras_normpack.statistics import align_mask, moments_over, per_channel, statistics_dtype


@keras.saving.register_keras_serializable(package="keras_normpack")
class ReversibleInstanceNormalization(ChannelAffine):
    """Normalizes each series before a forecaster, and gives its forecast the level and the scale of the series back.

    `normalized, statistics = layer(series)` computes `y = gamma · (x - mean) / sqrt(variance + epsilon) + beta` with
    mean and variance over the time steps of each sample and feature; `layer.denormalize(forecast, statistics)` is the
    way back, `x = (y - beta) / gamma · sqrt(variance + epsilon) + mean`. The forecast may be of any length.

    One layer goes both ways, so that gamma and beta are shared; the second call is a second node of the same layer in
    a functional model, which Keras saves, loads and clones as it does every shared layer. The statistics are an output
    and an input like any other tensor, `(batch, 2, features)`, level above deviation: nothing is remembered between
    the calls, so one layer may serve several series, and compiled, distributed and exported models need no care.

    Statistics are computed from the inputs as they come, before Keras casts them, in float32 at least, and remain so
    under mixed precision; give the layer `dtype="float32"` where the forecast itself leaves the range of float16. Where
    the inputs carry a mask, masked steps do not count, and the mask goes on with the normalized series.

    Args:
        epsilon: Float above 0, added to the variance.
        subtract_last: Whether to subtract the last time step (that counts) instead of the mean; the deviation is still
            the one around the mean.
        **kwargs: `center` and `scale`, whether to have `beta` and `gamma`; `beta_initializer`, `gamma_initializer`,
            `beta_regularizer`, `gamma_regularizer`, `beta_constraint` and `gamma_constraint`, which must keep gamma
            from 0; and arguments of `keras.layers.Layer`, such as `name` and `dtype`.

    Returns:
        The normalized series, `(batch, time, features)`, and its statistics, `(batch, 2, features)`; or, from
        `denormalize`, a tensor of the shape of the forecast.

    Raises:
        ValueError: If `epsilon` is not above 0, the inputs are not `(batch, time, features)` with a known number of
            features, or the statistics are not of these features.

    Example:
    A forecast of 4 steps from 12; raising a series raises its forecast by as much, and stretching it stretches it.

    >>> import numpy as np
    >>> inputs = keras.Input((12, 2))
    >>> revin = ReversibleInstanceNormalization()
    >>> normalized, statistics = revin(inputs)
    >>> hidden = keras.layers.Dense(4)(keras.layers.Permute((2, 1))(normalized))
    >>> outputs = revin.denormalize(keras.layers.Permute((2, 1))(hidden), statistics)
    >>> model = keras.Model(inputs, outputs)
    >>> model.compile("adam", "mse")
    >>> series = np.random.default_rng(0).normal(size=(8, 12, 2))
    >>> history = model.fit(series, series[:, :4], verbose=0)
    >>> forecast = model.predict(series, verbose=0)
    >>> forecast.shape
    (8, 4, 2)
    >>> bool(np.allclose(model.predict(100 * series + 50, verbose=0), 100 * forecast + 50, atol=0.01))
    True

    Source:
        Kim et al. 2022, "Reversible Instance Normalization for Accurate Time-Series Forecasting against Distribution
        Shift", ICLR, section 3. Unlike the authors' code, gradients flow through the statistics; the two agree where
        the inputs are data. `subtract_last` is from the code of PatchTST (Nie et al. 2023, arXiv:2211.14730).
    """

    def __init__(self, epsilon: float = 1e-5, subtract_last: bool = False, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.epsilon = check_positive(self, "epsilon", epsilon)
        self.subtract_last = subtract_last
        self.supports_masking = True
        # A series may be far from 0 and outside the range of float16; so may its statistics.
        self.autocast = False

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        """Creates `gamma` and `beta`, in this order."""
        features = self._checked_features(input_shape)
        self.add_affine_weights(features)
        self.input_spec = keras.layers.InputSpec(ndim=3, axes={-1: features})

    def call(self, inputs: Any, statistics: Any = None, mask: Any = None) -> Any:
        """Normalizes a series, or, where statistics are given, denormalizes a forecast.

        Args:
            inputs: Series or forecast, `(batch, time, features)`.
            statistics: What the layer returned with the normalized series, or `None` to normalize.
            mask: Time steps of the series that count, `(batch, time)`, or `None` for all.

        Returns:
            Normalized series in the compute dtype and statistics in float32 at least; or the forecast in the compute
            dtype.
        """
        if statistics is None:
            return self._normalized(inputs, mask)
        return self._denormalized(inputs, statistics)

    def denormalize(self, forecast: Any, statistics: Any) -> Any:
        """Gives a forecast the level and the scale of its series.

        Args:
            forecast: `(batch, horizon, features)`, the features those of the series.
            statistics: What the layer returned with the normalized series, `(batch, 2, features)`.

        Returns:
            A tensor of the shape of the forecast.

        Raises:
            ValueError: If the statistics are not of these features.
        """
        return self(forecast, statistics=statistics)

    def compute_output_shape(self, inputs_shape: tuple[int | None, ...], statistics_shape: Any = None) -> Any:
        """Gives the shapes of the normalized series and the statistics, or that of the forecast."""
        features = self._checked_features(inputs_shape)
        if statistics_shape is None:
            return tuple(inputs_shape), (inputs_shape[0], 2, features)
        return tuple(inputs_shape)

    def compute_output_spec(self, inputs: Any, statistics: Any = None, mask: Any = None) -> Any:
        """Gives shapes and dtypes; the statistics keep their precision in every policy."""
        if statistics is not None:
            self._check_statistics(statistics)
            return keras.KerasTensor(self.compute_output_shape(inputs.shape, statistics.shape), self.compute_dtype)
        normalized, of_statistics = self.compute_output_shape(inputs.shape)
        return (
            keras.KerasTensor(normalized, self.compute_dtype),
            keras.KerasTensor(of_statistics, statistics_dtype(inputs)),
        )

    def get_config(self) -> dict[str, Any]:
        """Gives the arguments the layer was made with."""
        return {**super().get_config(), "epsilon": self.epsilon, "subtract_last": self.subtract_last}

    def _normalized(self, inputs: Any, mask: Any) -> tuple[Any, Any]:
        x = ops.cast(inputs, statistics_dtype(inputs))
        mean, variance = moments_over(x, (1,), None if mask is None else align_mask(mask, 3, -1))
        level = _last_step(x, mask) if self.subtract_last else mean
        deviation = ops.sqrt(variance + self.epsilon)
        normalized = self.affine((x - level) / deviation, axis=-1)
        return ops.cast(normalized, self.compute_dtype), ops.concatenate([level, deviation], axis=1)

    def _denormalized(self, forecast: Any, statistics: Any) -> Any:
        self._check_statistics(statistics)
        y = ops.cast(forecast, statistics.dtype)
        if self.beta is not None:
            y = y - per_channel(self.beta, y, -1)
        if self.gamma is not None:
            y = y / per_channel(self.gamma, y, -1)
        return ops.cast(y * statistics[:, 1:] + statistics[:, :1], self.compute_dtype)

    def _check_statistics(self, statistics: Any) -> None:
        features = self.input_spec.axes[-1]
        if tuple(statistics.shape[1:]) != (2, features):
            raise ValueError(
                f"Argument `statistics` of {type(self).__name__} {self.name!r} must be what the layer returned with "
                f"the normalized series, of shape (batch, 2, {features}). "
                f"Received: statistics of shape {tuple(statistics.shape)}"
            )

    def _checked_features(self, input_shape: tuple[int | None, ...]) -> int:
        if len(input_shape) != 3:
            raise ValueError(
                f"{type(self).__name__} {self.name!r} needs inputs of shape (batch, time, features). "
                f"Received: input_shape={tuple(input_shape)}"
            )
        return channels_on(self, input_shape, -1, least_rank=3)


def _last_step(x: Any, mask: Any) -> Any:
    """Picks the last step that counts, `(batch, 1, features)`; 0 where none does."""
    if mask is None:
        return x[:, -1:]
    steps = ops.arange(ops.shape(x)[1])
    last = ops.max(ops.where(mask, steps, -1), axis=1, keepdims=True)
    return ops.sum(ops.where(ops.expand_dims(steps == last, -1), x, 0), axis=1, keepdims=True)
