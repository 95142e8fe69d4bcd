"""The callbacks, and what they do as plain functions."""

from keras_normpack.callbacks.batch_statistics import recompute_batch_statistics
from keras_normpack.callbacks.drop_rate_schedule import DropRateSchedule
from keras_normpack.callbacks.generalization_early_stopping import GeneralizationEarlyStopping
from keras_normpack.callbacks.precise_batch_normalization import PreciseBatchNormalization
from keras_normpack.callbacks.stochastic_weight_averaging import StochasticWeightAveraging

__all__ = [
    "DropRateSchedule",
    "GeneralizationEarlyStopping",
    "PreciseBatchNormalization",
    "StochasticWeightAveraging",
    "recompute_batch_statistics",
]
