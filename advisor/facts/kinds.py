"""What kind of layer a node is. Users register the kind of their own layers with `register_layer_kind`."""

from __future__ import annotations

from enum import StrEnum
from typing import Any

import keras
from keras import layers

import keras_normpack
from advisor.graph import keep_whole
from advisor.graph.keras_internals import wrapped_layers


class Kind(StrEnum):
    """The kinds the rules speak of."""

    INPUT = "input"
    CONV = "conv"
    DEPTHWISE = "depthwise"
    DENSE = "dense"
    RECURRENT = "recurrent"
    ATTENTION = "attention"
    EMBEDDING = "embedding"
    NORM = "norm"
    DROPOUT = "dropout"
    ACTIVATION = "activation"
    POOLING = "pooling"
    MERGE = "merge"
    RESHAPE = "reshape"
    AUGMENTATION = "augmentation"
    PREPROCESSING = "preprocessing"
    OTHER = "other"


_KINDS: dict[type, Kind] = {}

_BUILT_IN = {
    Kind.INPUT: "InputLayer",
    Kind.CONV: ("Conv1D Conv2D Conv3D Conv1DTranspose Conv2DTranspose Conv3DTranspose SeparableConv1D SeparableConv2D"),
    Kind.DEPTHWISE: "DepthwiseConv1D DepthwiseConv2D",
    Kind.DENSE: "Dense EinsumDense",
    Kind.RECURRENT: "RNN SimpleRNN LSTM GRU ConvLSTM1D ConvLSTM2D ConvLSTM3D",
    Kind.ATTENTION: "MultiHeadAttention GroupQueryAttention Attention AdditiveAttention",
    Kind.EMBEDDING: "Embedding",
    Kind.NORM: ("BatchNormalization LayerNormalization GroupNormalization RMSNormalization UnitNormalization"),
    Kind.DROPOUT: (
        "Dropout SpatialDropout1D SpatialDropout2D SpatialDropout3D AlphaDropout GaussianDropout GaussianNoise"
    ),
    Kind.ACTIVATION: "Activation ReLU LeakyReLU PReLU ELU Softmax",
    Kind.POOLING: (
        "AveragePooling1D AveragePooling2D AveragePooling3D MaxPooling1D MaxPooling2D MaxPooling3D"
        " GlobalAveragePooling1D GlobalAveragePooling2D GlobalAveragePooling3D"
        " GlobalMaxPooling1D GlobalMaxPooling2D GlobalMaxPooling3D"
        " AdaptiveAveragePooling1D AdaptiveAveragePooling2D AdaptiveAveragePooling3D"
        " AdaptiveMaxPooling1D AdaptiveMaxPooling2D AdaptiveMaxPooling3D"
    ),
    Kind.MERGE: "Add Subtract Multiply Average Maximum Minimum Concatenate Dot",
    Kind.RESHAPE: (
        "Flatten Reshape Permute RepeatVector ZeroPadding1D ZeroPadding2D ZeroPadding3D Cropping1D Cropping2D"
        " Cropping3D UpSampling1D UpSampling2D UpSampling3D Identity Masking ActivityRegularization"
    ),
    Kind.AUGMENTATION: (
        "RandomFlip RandomRotation RandomTranslation RandomZoom RandomCrop RandomContrast RandomBrightness"
        " RandomColorDegeneration RandomColorJitter RandomElasticTransform RandomErasing RandomGaussianBlur"
        " RandomGrayscale RandomHue RandomInvert RandomPerspective RandomPosterization RandomSaturation"
        " RandomSharpness RandomShear AugMix AutoContrast CutMix Equalization MixUp RandAugment RandomApply"
        " RandomChoice Solarization"
    ),
    Kind.PREPROCESSING: (
        "Normalization Rescaling Resizing CenterCrop Discretization CategoryEncoding Hashing HashedCrossing"
        " IntegerLookup StringLookup TextVectorization MelSpectrogram STFTSpectrogram"
        " ContrastLimitedAdaptiveHistogramEqualization"
    ),
}

# Subclasses of Keras's layers have their kinds.
_OF_THE_PACK = {
    Kind.NORM: (
        "InstanceNormalization FilterResponseNormalization GlobalResponseNormalization DynamicTanh"
        " ReversibleInstanceNormalization AdaptiveInstanceNormalization"
    ),
    Kind.DROPOUT: "DropPath DropBlock1D DropBlock2D DropBlock3D",
    Kind.ACTIVATION: "TLU",
    Kind.MERGE: "StochasticDepth",
    Kind.AUGMENTATION: "SpecAugment RandomTimeShift RandomJitter RandomScaling",
}

# `keras.ops` operations are no layers; their class names are stable, their classes are not public.
_OPERATIONS = {
    Kind.ACTIVATION: (
        "Relu Relu6 Sigmoid Tanh Softmax LogSoftmax Softplus Softsign Silu Gelu Elu Selu LeakyRelu HardSigmoid"
        " HardSilu HardTanh Celu Glu Exp Mish"
    ),
    Kind.MERGE: "Add Subtract Multiply Divide TrueDivide Maximum Minimum Concatenate Stack Matmul Dot Einsum",
    Kind.RESHAPE: "Reshape Transpose ExpandDims Squeeze Flip Pad Moveaxis Ravel Cast Copy",
    Kind.POOLING: "MaxPool AveragePool Mean Max",
    Kind.CONV: "Conv ConvTranspose SeparableConv",
    Kind.DEPTHWISE: "DepthwiseConv",
    Kind.NORM: "BatchNorm LayerNorm RMSNorm Normalize",
}


def register_layer_kind(layer_class: type, kind: Kind | str) -> None:
    """Tell the advisor what kind of layer a class is.

    Args:
        layer_class: A subclass of `keras.Layer`; subclasses of it have the same kind unless registered themselves.
        kind: A `Kind` or its value, such as `"conv"`.

    Raises:
        TypeError: If `layer_class` is no layer class.
        ValueError: If there is no such kind.

    Example:
    >>> import keras
    >>> class SquaredReLU(keras.layers.Layer):
    ...     def call(self, inputs):
    ...         return keras.ops.square(keras.ops.relu(inputs))
    >>> register_layer_kind(SquaredReLU, "activation")
    >>> kind_of(SquaredReLU())
    <Kind.ACTIVATION: 'activation'>
    """
    if not (isinstance(layer_class, type) and issubclass(layer_class, keras.Layer)):
        raise TypeError(f"`layer_class` must be a subclass of keras.Layer. Received: {layer_class!r}")
    if kind not in list(Kind):
        raise ValueError(f"`kind` must be one of {', '.join(Kind)}. Received: {kind!r}")
    _KINDS[layer_class] = Kind(kind)
    keep_whole(layer_class)


def core_layer(operation: Any) -> Any:
    """The layer that does the work: the innermost one inside `TimeDistributed`, `Bidirectional` and other wrappers."""
    inner = wrapped_layers(operation)
    return core_layer(inner[0]) if inner else operation


def works_by_itself(operation: Any) -> bool:
    """Whether nothing stands around the layer that does the work, but at most a `TimeDistributed`."""
    inner = wrapped_layers(operation)
    return not inner or (isinstance(operation, layers.TimeDistributed) and not wrapped_layers(inner[0]))


def kind_of(operation: Any) -> Kind:
    """The kind of a layer or operation, looking through wrappers.

    Args:
        operation: A layer, or a `keras.ops` operation of a graph.

    Returns:
        Its kind, or that of the nearest class it is derived from; `Kind.OTHER` where none is known.

    Example:
    >>> kind_of(keras.layers.TimeDistributed(keras.layers.Dense(2)))
    <Kind.DENSE: 'dense'>
    """
    operation = core_layer(operation)
    for cls in type(operation).__mro__:
        if cls in _KINDS:
            return _KINDS[cls]
    if not isinstance(operation, keras.Layer):
        return _OPERATION_KINDS.get(type(operation).__name__, Kind.OTHER)
    return Kind.OTHER


def _register_built_in() -> None:
    for kind, names in _BUILT_IN.items():
        for name in names.split():
            # Older and newer Keras releases lack some of the names.
            if hasattr(layers, name):
                _KINDS[getattr(layers, name)] = kind
    for kind, names in _OF_THE_PACK.items():
        _KINDS.update({getattr(keras_normpack, name): kind for name in names.split()})


_register_built_in()
_OPERATION_KINDS = {name: kind for kind, names in _OPERATIONS.items() for name in names.split()}
