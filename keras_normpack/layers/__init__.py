"""The layers and wrappers."""

from keras_normpack.layers.normalization.batch_normalization import BatchNormalization
from keras_normpack.layers.normalization.instance_normalization import InstanceNormalization
from keras_normpack.layers.regularization.drop_path import DropPath
from keras_normpack.layers.reparameterization.weight_normalization import WeightNormalization

__all__ = ["BatchNormalization", "DropPath", "InstanceNormalization", "WeightNormalization"]
