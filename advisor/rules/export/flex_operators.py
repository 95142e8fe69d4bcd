"""Layers and `keras.ops` operations for which LiteRT has no operator of its own.

Each entry was found by converting it with LiteRT's own operators alone (TensorFlow 2.21); a slow test does so again.
The list of what there is: https://ai.google.dev/edge/litert/models/ops_compatibility.
"""

from __future__ import annotations

from typing import NamedTuple

import keras

from advisor.facts import LayerFacts


class Flex(NamedTuple):
    """What TensorFlow would have to run, and what can stand in its place."""

    operator: str
    replacement: str


_LOOKUP = "look it up before the model, in the app"
_RESIZE = 'interpolation="bilinear"'
_LAYERS = {
    "MaxPooling3D": Flex("MaxPool3D", "Conv3D with strides, or MaxPooling2D in TimeDistributed"),
    "AveragePooling3D": Flex("AvgPool3D", "Conv3D with strides, or AveragePooling2D in TimeDistributed"),
    "Hashing": Flex("StringToHashBucketFast", _LOOKUP),
    "HashedCrossing": Flex("SparseCross", _LOOKUP),
    "IntegerLookup": Flex("LookupTableFindV2", _LOOKUP),
    "TextVectorization": Flex("StringSplitV2", _LOOKUP),
}
_INTERPOLATED = {
    "bicubic": Flex("ResizeBicubic", _RESIZE),
    "lanczos3": Flex("ScaleAndTranslate", _RESIZE),
    "lanczos5": Flex("ScaleAndTranslate", _RESIZE),
}
_TRIGONOMETRY = "compute it outside the model, or approximate it by a polynomial"
_ALGEBRA = "compute it outside the model"
_OPERATIONS = {
    "Erf": Flex("Erf", "keras.ops.gelu where it is part of a GELU, else keras.ops.tanh"),
    "Erfinv": Flex("Erfinv", _TRIGONOMETRY),
    "Tan": Flex("Tan", "keras.ops.sin and keras.ops.cos"),
    "Arcsin": Flex("Asin", _TRIGONOMETRY),
    "Arccos": Flex("Acos", _TRIGONOMETRY),
    "Arctan": Flex("Atan", _TRIGONOMETRY),
    "Sinh": Flex("Sinh", "keras.ops.exp"),
    "Cosh": Flex("Cosh", "keras.ops.exp"),
    "Arcsinh": Flex("Asinh", "keras.ops.log and keras.ops.sqrt"),
    "Arccosh": Flex("Acosh", "keras.ops.log and keras.ops.sqrt"),
    "Arctanh": Flex("Atanh", "keras.ops.log"),
    "Cumprod": Flex("Cumprod", "keras.ops.exp of keras.ops.cumsum of the logarithms"),
    "Argmax": Flex("BitwiseAnd", "keras.ops.top_k(x, 1)"),
    "Cholesky": Flex("Cholesky", _ALGEBRA),
    "Det": Flex("MatrixDeterminant", _ALGEBRA),
    "Inv": Flex("MatrixInverse", _ALGEBRA),
    "Qr": Flex("Qr", _ALGEBRA),
    "SVD": Flex("Svd", _ALGEBRA),
    "Eigh": Flex("SelfAdjointEigV2", _ALGEBRA),
    "Solve": Flex("MatrixSolve", _ALGEBRA),
    "FFT": Flex("FFT", "keras.layers.STFTSpectrogram, which is a convolution"),
    "IRFFT": Flex("IRFFT", _ALGEBRA),
    "AffineTransform": Flex("ImageProjectiveTransformV3", _ALGEBRA),
    "RGBToHSV": Flex("RGBToHSV", _ALGEBRA),
    "Bincount": Flex("DenseBincount", "keras.ops.one_hot and keras.ops.sum"),
    "SearchSorted": Flex("LowerBound", "keras.ops.sum of comparisons"),
}


def flex_operator(layer: LayerFacts) -> Flex | None:
    """What of a layer or operation LiteRT has not, or None where it has all.

    Args:
        layer: Facts of a leaf; a subclass counts as the class of Keras that it is.
    """
    if not issubclass(layer.cls, keras.Layer):
        return _OPERATIONS.get(layer.cls.__name__)
    # A layer of the user's may go by the name of one of Keras.
    ancestors = [cls.__name__ for cls in layer.cls.__mro__ if cls.__module__.split(".")[0] == "keras"]
    name = next((name for name in ancestors if name in _LAYERS), ancestors[0] if ancestors else "")
    if name in {"Resizing", "UpSampling2D"}:
        return _INTERPOLATED.get(str(layer.config.get("interpolation")))
    if name == "CategoryEncoding" and layer.config.get("output_mode") in ("multi_hot", "count"):
        return Flex("DenseBincount", 'output_mode="one_hot" and a sum over the tokens')
    dilation = layer.config.get("dilation_rate", 1) if name == "Conv2DTranspose" else 1
    if dilation not in (1, (1, 1), [1, 1]):
        return Flex("Conv2DBackpropInput", "UpSampling2D and Conv2D with that dilation_rate")
    return _LAYERS.get(name)
