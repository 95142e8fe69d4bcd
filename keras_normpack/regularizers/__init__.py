"""Penalties on weights, beside Keras's own."""

from keras_normpack.regularizers.group_lasso import GroupLasso
from keras_normpack.regularizers.orthogonal_regularizer import OrthogonalRegularizer

__all__ = ["GroupLasso", "OrthogonalRegularizer"]
