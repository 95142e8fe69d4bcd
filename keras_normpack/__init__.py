"""Normalization and regularization layers for Keras 3."""

from keras_normpack._version import __version__
from keras_normpack.layers import BatchNormalization, DropPath, InstanceNormalization, WeightNormalization

__all__ = ["BatchNormalization", "DropPath", "InstanceNormalization", "WeightNormalization", "__version__"]
