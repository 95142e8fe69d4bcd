"""Batch normalization: Keras's, faster and with ghost batches."""

from typing import Any

import keras
from keras import ops

from keras_normpack import kernels
from keras_normpack.layers.arguments import check_positive_integer, check_within
from keras_normpack.layers.normalization.batch_renormalization import renormalization_corrections
from keras_normpack.layers.normalization.batch_statistics import BatchStatistics, batch_statistics, is_any_sample
from keras_normpack.layers.normalization.ghost_batches import normalize_ghost_batches
from keras_normpack.replicas import mean_over_replicas
from keras_normpack.statistics import statistics_dtype


@keras.saving.register_keras_serializable(package="keras_normpack")
class BatchNormalization(keras.layers.BatchNormalization):
    """Keras's batch normalization, with a fused kernel in training where one is faster, and ghost batches.

    `y = gamma · (x - mean) / sqrt(variance + epsilon) + beta` with mean and variance of the batch in training, and
    their moving averages at inference. Arguments, config, weights and results are those of
    `keras.layers.BatchNormalization`: what one of the two has saved, its configuration and its weights, the other
    loads. A kernel is used in training without mask, synchronization or renormalization, on shapes and dtypes for which
    it was measured to be faster: TensorFlow's fused operation, or passes of our own where XLA compiles the step.

    It differs from Keras's layer where that one errs: a batch without one valid position leaves the moving averages
    alone and is normalized by them; a mask lies along the axes other than the channel axis, wherever that is;
    `synchronized=True` holds with a mask, too; replicas that are not synchronized keep equal moving averages, the mean
    of what each would have; a replica without samples does not make them NaN.

    Args:
        axis: Integer, the channel axis. `-1` for `(batch, height, width, channels)`, `1` for
            `(batch, channels, height, width)`.
        momentum: Float in [0, 1], the share of the moving averages that stays at each step.
        epsilon: Float, added to the variance.
        center: Whether to add `beta`.
        scale: Whether to multiply by `gamma`.
        beta_initializer: Initializer of `beta`.
        gamma_initializer: Initializer of `gamma`.
        moving_mean_initializer: Initializer of the moving mean.
        moving_variance_initializer: Initializer of the moving variance.
        beta_regularizer: Regularizer of `beta`, or `None`.
        gamma_regularizer: Regularizer of `gamma`, or `None`.
        beta_constraint: Constraint of `beta`, or `None`.
        gamma_constraint: Constraint of `gamma`, or `None`.
        renorm: Whether to correct training towards the moving averages (Ioffe 2017, arXiv:1702.03275).
        renorm_clipping: Dictionary with any of the keys `"rmin"`, `"rmax"` and `"dmax"`, bounds of the corrections.
        renorm_momentum: Float in [0, 1], momentum of the averages that `renorm` corrects towards.
        synchronized: Whether to take the statistics over all replicas of a `tf.distribute` strategy; TensorFlow only.
        virtual_batch_size: Integer from 1, or `None` for the whole batch. In training each consecutive group of so many
            samples is normalized by its own statistics; the last group has the rest. The moving averages take the mean
            over the samples of their groups' statistics. Not together with `synchronized`, `renorm` or a mask.
        **kwargs: Arguments of `keras.layers.Layer`, such as `name` and `dtype`.

    Returns:
        A tensor of the shape of the inputs.

    Raises:
        ValueError: As `keras.layers.BatchNormalization` does; if `epsilon` is below 0, a momentum is outside [0, 1], or
            `virtual_batch_size` is not an integer from 1 or comes with what it does not go with.

    Example:
    >>> import numpy as np
    >>> images = np.random.default_rng(0).normal(3.0, 2.0, (32, 16, 16, 32)).astype("float32")
    >>> outputs = keras.ops.convert_to_numpy(BatchNormalization()(images, training=True))
    >>> outputs.shape, bool(abs(outputs.mean()) < 1e-4), round(float(outputs.std()), 2)
    ((32, 16, 16, 32), True, 1.0)
    >>> outputs = keras.ops.convert_to_numpy(BatchNormalization(virtual_batch_size=8)(images, training=True))
    >>> bool(abs(outputs[:8].mean()) < 1e-4)
    True

    Source:
        Ioffe & Szegedy 2015, arXiv:1502.03167, algorithms 1 and 2; ghost batches: Hoffer et al. 2017,
        arXiv:1705.08741, algorithm 1.
    """

    def __init__(
        self,
        axis: int = -1,
        momentum: float = 0.99,
        epsilon: float = 1e-3,
        center: bool = True,
        scale: bool = True,
        beta_initializer: Any = "zeros",
        gamma_initializer: Any = "ones",
        moving_mean_initializer: Any = "zeros",
        moving_variance_initializer: Any = "ones",
        beta_regularizer: Any = None,
        gamma_regularizer: Any = None,
        beta_constraint: Any = None,
        gamma_constraint: Any = None,
        renorm: bool = False,
        renorm_clipping: dict[str, float] | None = None,
        renorm_momentum: float = 0.99,
        synchronized: bool = False,
        virtual_batch_size: int | None = None,
        **kwargs: Any,
    ) -> None:
        check_within(self, "epsilon", epsilon, 0)
        for name, value in (("momentum", momentum), ("renorm_momentum", renorm_momentum)):
            check_within(self, name, value, 0, 1)
        super().__init__(
            axis=axis,
            momentum=momentum,
            epsilon=epsilon,
            center=center,
            scale=scale,
            beta_initializer=beta_initializer,
            gamma_initializer=gamma_initializer,
            moving_mean_initializer=moving_mean_initializer,
            moving_variance_initializer=moving_variance_initializer,
            beta_regularizer=beta_regularizer,
            gamma_regularizer=gamma_regularizer,
            beta_constraint=beta_constraint,
            gamma_constraint=gamma_constraint,
            renorm=renorm,
            renorm_clipping=renorm_clipping,
            renorm_momentum=renorm_momentum,
            synchronized=synchronized,
            **kwargs,
        )
        if virtual_batch_size is not None:
            check_positive_integer(self, "virtual_batch_size", virtual_batch_size)
            if renorm or synchronized:
                raise ValueError(
                    f"Argument `virtual_batch_size` of {type(self).__name__} normalizes parts of the batch by "
                    "themselves, so it does not go with `renorm` or `synchronized`, which normalize by more than the "
                    "batch; leave one of them out. Received: "
                    f"virtual_batch_size={virtual_batch_size}, renorm={renorm}, synchronized={synchronized}"
                )
        self.virtual_batch_size = virtual_batch_size

    def call(self, inputs: Any, training: bool | None = None, mask: Any = None) -> Any:
        """Normalizes the inputs.

        Args:
            inputs: Float tensor of any rank from 2.
            training: Whether to use, and to average, the statistics of this batch.
            mask: Positions that count in training, such as `(batch, time)` for `(batch, time, channels)`, or `None` for
                all.

        Returns:
            A tensor of the shape of the inputs, in the compute dtype.
        """
        if not (training and self.trainable):
            return super().call(inputs, training=False)
        if mask is not None:
            self._check_mask(inputs, mask)
        if self.virtual_batch_size is not None:
            outputs, statistics = normalize_ghost_batches(
                inputs, self.gamma, self.beta, axis=self.axis, epsilon=self.epsilon, size=self.virtual_batch_size
            )
        elif (kernel := self._kernel(inputs, mask)) is not None:
            outputs, mean, variance = kernel(inputs, self.gamma, self.beta, axis=self.axis, epsilon=self.epsilon)
            statistics = BatchStatistics(mean, variance, is_any_sample(inputs))
        else:
            outputs, statistics = self._normalize_by_statistics(inputs, mask)
        self._update_moving_averages(statistics)
        return ops.cast(outputs, self.compute_dtype)

    def get_config(self) -> dict[str, Any]:
        """Gives the arguments the layer was made with; only those of Keras's class where there are no ghost batches."""
        config = super().get_config()
        return config if self.virtual_batch_size is None else {**config, "virtual_batch_size": self.virtual_batch_size}

    def _kernel(self, inputs: Any, mask: Any) -> Any:
        if mask is not None or self.synchronized or self.renorm:
            return None
        return kernels.choose("batch_normalization", kernels.Call.of(inputs, self.axis))

    def _normalize_by_statistics(self, inputs: Any, mask: Any) -> tuple[Any, BatchStatistics]:
        x = ops.cast(inputs, statistics_dtype(inputs))
        statistics = batch_statistics(x, self.axis, mask, self.synchronized)
        mean = ops.where(statistics.counted, statistics.mean, ops.cast(self.moving_mean, x.dtype))
        variance = ops.where(statistics.counted, statistics.variance, ops.cast(self.moving_variance, x.dtype))
        gamma = ops.ones_like(mean) if self.gamma is None else ops.cast(self.gamma, x.dtype)
        beta = ops.zeros_like(mean) if self.beta is None else ops.cast(self.beta, x.dtype)
        if self.renorm:
            stddev = ops.sqrt(variance + self.epsilon)
            r, d = renormalization_corrections(
                mean, stddev, self.renorm_mean, self.renorm_stddev, self.epsilon, self.renorm_clipping
            )
            gamma, beta = gamma * r, gamma * d + beta
        outputs = ops.batch_normalization(
            x, mean, variance, axis=self.axis, offset=beta, scale=gamma, epsilon=self.epsilon
        )
        return outputs, statistics

    def _update_moving_averages(self, batch: BatchStatistics) -> None:
        self._average(self.moving_mean, batch.mean, self.momentum, batch.counted)
        if not self.renorm:
            self._average(self.moving_variance, batch.variance, self.momentum, batch.counted)
            return
        stddev = ops.sqrt(batch.variance + self.epsilon)
        self._average(self.renorm_mean, batch.mean, self.renorm_momentum, batch.counted)
        self._average(self.renorm_stddev, stddev, self.renorm_momentum, batch.counted)
        self._average(self.moving_stddev, stddev, self.momentum, batch.counted)
        moving_stddev = ops.cast(self.moving_stddev, stddev.dtype)
        self._assign(self.moving_variance, ops.relu(ops.square(moving_stddev) - self.epsilon), batch.counted)

    def _average(self, moving: Any, batch: Any, momentum: float, counted: Any) -> None:
        self._assign(moving, ops.cast(moving, batch.dtype) * momentum + batch * (1.0 - momentum), counted)

    def _assign(self, variable: Any, value: Any, counted: Any) -> None:
        if counted is not True:
            value = ops.where(counted, value, ops.cast(variable, value.dtype))
        variable.assign(mean_over_replicas(value))

    def _check_mask(self, inputs: Any, mask: Any) -> None:
        who = f"{type(self).__name__} {self.name!r}"
        if self.virtual_batch_size is not None:
            raise ValueError(
                f"{who} has `virtual_batch_size`, which does not go with a mask: the groups would have unequal numbers "
                "of valid positions. Leave out one of them. Received: "
                f"virtual_batch_size={self.virtual_batch_size}, mask.shape={tuple(mask.shape)}"
            )
        if len(mask.shape) >= len(inputs.shape):
            raise ValueError(
                f"{who} expects a mask along the axes of the inputs other than the channel axis. "
                f"Received: mask.shape={tuple(mask.shape)}, inputs.shape={tuple(inputs.shape)}"
            )
