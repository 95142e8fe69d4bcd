"""Normalization and regularization layers for Keras 3."""

from keras_normpack._version import __version__

__all__ = ["__version__"]
