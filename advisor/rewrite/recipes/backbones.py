"""Pretrained networks without their heads, and the scale of the inputs they were trained on."""

from __future__ import annotations

import importlib
import inspect
import os
from dataclasses import dataclass
from typing import Any

import keras
from keras import layers

SCALES = ("tf", "torch", "caffe")
"""The names that `keras.applications.imagenet_utils.preprocess_input` has for the ways to scale images."""

DEFAULT_SIZE = 96
"""Smaller images are enlarged to this side: networks of ImageNet see little in less."""

# By the beginning of the name, the first that fits. Networks that are not listed scale within.
_SCALES = (
    (("MobileNetV3",), None),
    (("MobileNet", "Inception", "Xception", "NASNet"), "tf"),
    (("ResNet50V2", "ResNet101V2", "ResNet152V2"), "tf"),
    (("DenseNet",), "torch"),
    (("ResNet", "VGG"), "caffe"),
)
# Inception, Xception and NASNetLarge refuse images that shrink to nothing on their way.
_LEAST_SIZE = {"InceptionV3": 75, "InceptionResNetV2": 75, "Xception": 71}

_MEAN, _DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
_CAFFE_MEAN = (103.939, 116.779, 123.68)


@dataclass(frozen=True, eq=False)
class Backbone:
    """A network without a head.

    Attributes:
        model: The network.
        scale: What puts values from 0 to 255 on its scale: one of `SCALES`, layers, or None where it does so itself.
    """

    model: Any
    scale: str | tuple[keras.Layer, ...] | None


def make_backbone(backbone: Any, weights: str | os.PathLike[str] | None, size: tuple[int, int] | None) -> Backbone:
    """Make a network that gives features.

    Args:
        backbone: Name of a network of `keras.applications`, preset of KerasHub, or a model.
        weights: `"imagenet"` (for a preset: its own), a file for `load_weights`, or None for random ones.
        size: Height and width of the images; None for a network that is made already, or of tokens.

    Raises:
        TypeError: If `backbone` is neither a name nor a model.
        ValueError: If there is no network of that name.
        ImportError: If a preset is named and KerasHub is not installed.
    """
    if isinstance(backbone, keras.Model):
        if weights not in (None, "imagenet"):
            backbone.load_weights(weights)
        return Backbone(backbone, None)
    if not isinstance(backbone, str):
        raise TypeError(
            "`backbone` must be a name of `keras.applications`, a preset of KerasHub or a keras.Model. "
            f"Received: {backbone!r}"
        )
    if backbone in application_names():
        return _application(backbone, weights, size)
    return _preset(backbone, weights)


def application_names() -> list[str]:
    """Names of the networks that `keras.applications` has."""
    candidates = ((name, getattr(keras.applications, name)) for name in dir(keras.applications))
    return [
        name
        for name, function in candidates
        if inspect.isfunction(function) and "include_top" in inspect.signature(function).parameters
    ]


def scaling_layers(scale: str) -> list[Any]:
    """Layers that do what `preprocess_input` does to images from 0 to 255 with three channels.

    For `"caffe"`, which is for channels in the order blue, green, red, the images must have that order already.

    Args:
        scale: One of `SCALES`.

    Returns:
        The layers, in order.

    Raises:
        ValueError: If there is no such scale.

    Example:
    >>> float(scaling_layers("tf")[0](255.0))
    1.0
    """
    if scale == "tf":
        return [layers.Rescaling(1 / 127.5, offset=-1.0, name="scale")]
    if scale == "torch":
        variance = [deviation**2 for deviation in _DEVIATION]
        return [
            layers.Rescaling(1 / 255, name="scale"),
            layers.Normalization(mean=_MEAN, variance=variance, name="standardize"),
        ]
    if scale == "caffe":
        return [layers.Normalization(mean=_CAFFE_MEAN, variance=(1.0, 1.0, 1.0), name="center")]
    raise ValueError(f"`preprocess` must be a bool or one of {', '.join(SCALES)}. Received: preprocess={scale!r}")


def working_size(name: Any, size: tuple[int | None, int | None]) -> tuple[int, int]:
    """The size at which a network is to see images: their own, but not below what it needs."""
    least = max(DEFAULT_SIZE, _LEAST_SIZE.get(name, 0) if isinstance(name, str) else 0)
    height, width = (side or 224 for side in size)
    # Both sides by one factor, so that nothing is distorted.
    factor = max(1.0, least / min(height, width))
    return round(height * factor), round(width * factor)


def _application(name: str, weights: Any, size: tuple[int, int] | None) -> Backbone:
    build = getattr(keras.applications, name)
    is_file = weights not in (None, "imagenet")
    model = build(include_top=False, weights=None if is_file else weights, input_shape=(*(size or (224, 224)), 3))
    if is_file:
        model.load_weights(weights)
    return Backbone(model, next((scale for names, scale in _SCALES if name.startswith(names)), None))


def _preset(name: str, weights: Any) -> Backbone:
    try:
        keras_hub = importlib.import_module("keras_hub")
    except ImportError as error:
        raise ImportError(
            f"`{name}` is no network of `keras.applications` ({', '.join(application_names())}), and presets need "
            "KerasHub: pip install keras-normpack[hub]"
        ) from error
    is_file = weights not in (None, "imagenet")
    model = keras_hub.models.Backbone.from_preset(name, load_weights=weights is not None and not is_file)
    if is_file:
        model.load_weights(weights)
    try:
        converter = keras_hub.layers.ImageConverter.from_preset(name)
    except ValueError:
        return Backbone(model, None)  # of tokens, or of a network that scales within
    if converter.scale is None and converter.offset is None:
        return Backbone(model, None)
    scale = 1.0 if converter.scale is None else converter.scale
    offset = 0.0 if converter.offset is None else converter.offset
    return Backbone(model, (layers.Rescaling(scale, offset=offset, name="scale"),))
