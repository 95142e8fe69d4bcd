"""Image classifiers of the literature, as their papers give them, in small widths."""

from __future__ import annotations

import keras
from keras import layers, ops

SIDE = (32, 32, 3)


def conv(x, filters, size=3, strides=1, padding="same", activation="relu"):
    return layers.Conv2D(filters, size, strides, padding, activation=activation)(x)


def conv_bn(x, filters, size=3, strides=1, activation="relu", **arguments):
    x = layers.Conv2D(filters, size, strides, "same", use_bias=False, **arguments)(x)
    x = layers.BatchNormalization()(x)
    return layers.Activation(activation)(x) if activation else x


def classified(inputs, x, classes=10):
    x = layers.GlobalAveragePooling2D()(x)
    return keras.Model(inputs, layers.Dense(classes, activation="softmax")(x))


def lenet_5():
    """LeCun et al. 1998, Gradient-based learning applied to document recognition."""
    return keras.Sequential(
        [
            keras.Input((32, 32, 1)),
            layers.Conv2D(6, 5, activation="tanh"),
            layers.AveragePooling2D(2),
            layers.Conv2D(16, 5, activation="tanh"),
            layers.AveragePooling2D(2),
            layers.Flatten(),
            layers.Dense(120, activation="tanh"),
            layers.Dense(84, activation="tanh"),
            layers.Dense(10, activation="softmax"),
        ]
    )


def alexnet():
    """Krizhevsky et al. 2012, with grouped convolutions for the two GPUs; response normalization left out."""
    return keras.Sequential(
        [
            keras.Input((67, 67, 3)),
            layers.Conv2D(8, 11, 4, activation="relu"),
            layers.MaxPooling2D(3, 2),
            layers.Conv2D(16, 5, padding="same", groups=2, activation="relu"),
            layers.MaxPooling2D(3, 2),
            layers.Conv2D(24, 3, padding="same", activation="relu"),
            layers.Conv2D(24, 3, padding="same", groups=2, activation="relu"),
            layers.Conv2D(16, 3, padding="same", groups=2, activation="relu"),
            layers.Flatten(),
            layers.Dense(32, activation="relu"),
            layers.Dropout(0.5),
            layers.Dense(32, activation="relu"),
            layers.Dropout(0.5),
            layers.Dense(10, activation="softmax"),
        ]
    )


def network_in_network():
    """Lin et al. 2014, arXiv:1312.4400."""
    stack = [keras.Input(SIDE)]
    for filters, size in ((12, 5), (12, 5), (12, 3)):
        stack += [layers.Conv2D(filters, size, padding="same", activation="relu")]
        stack += [layers.Conv2D(filters, 1, activation="relu") for _ in range(2)]
        stack += [layers.MaxPooling2D(3, 2, "same"), layers.Dropout(0.5)]
    stack[-2:] = [layers.Conv2D(10, 1, activation="relu"), layers.GlobalAveragePooling2D(), layers.Softmax()]
    return keras.Sequential(stack)


def googlenet():
    """Szegedy et al. 2015, arXiv:1409.4842, with one auxiliary classifier."""

    def inception(x, filters):
        one = conv(x, filters, 1)
        three = conv(conv(x, filters, 1), filters * 2)
        five = conv(conv(x, filters // 2, 1), filters, 5)
        pool = conv(layers.MaxPooling2D(3, 1, "same")(x), filters, 1)
        return layers.Concatenate()([one, three, five, pool])

    inputs = keras.Input(SIDE, name="image")
    x = layers.MaxPooling2D(3, 2, "same")(conv(inputs, 8, 7, 2))
    x = inception(x, 4)
    auxiliary = layers.Flatten()(conv(layers.AveragePooling2D(2)(x), 4, 1))
    auxiliary = layers.Dense(10, activation="softmax", name="auxiliary")(layers.Dropout(0.7)(auxiliary))
    x = layers.GlobalAveragePooling2D()(inception(inception(x, 4), 4))
    main = layers.Dense(10, activation="softmax", name="main")(layers.Dropout(0.4)(x))
    model = keras.Model(inputs, {"main": main, "auxiliary": auxiliary})
    loss = "sparse_categorical_crossentropy"
    model.compile("sgd", {"main": loss, "auxiliary": loss}, loss_weights={"main": 1.0, "auxiliary": 0.3})
    return model


def resnet_v1():
    """He et al. 2016, arXiv:1512.03385."""
    inputs = keras.Input(SIDE)
    x = conv_bn(inputs, 8)
    for stage, filters in enumerate((8, 16)):
        for block in range(2):
            strides = 2 if stage and not block else 1
            y = conv_bn(conv_bn(x, filters, strides=strides), filters, activation=None)
            if strides == 2:
                x = conv_bn(x, filters, 1, strides, activation=None)
            x = layers.ReLU()(layers.Add()([x, y]))
    return classified(inputs, x)


def resnet_v2():
    """He et al. 2016, arXiv:1603.05027: activation before the convolution."""
    inputs = keras.Input(SIDE)
    x = layers.Conv2D(8, 3, padding="same")(inputs)
    for _ in range(3):
        y = x
        for _ in range(2):
            y = layers.Activation("relu")(layers.BatchNormalization()(y))
            y = layers.Conv2D(8, 3, padding="same")(y)
        x = x + y
    return classified(inputs, layers.Activation("relu")(layers.BatchNormalization()(x)))


def wide_resnet():
    """Zagoruyko & Komodakis 2016, arXiv:1605.07146: dropout between the convolutions of a block."""
    inputs = keras.Input(SIDE)
    x = layers.Conv2D(16, 3, padding="same", use_bias=False)(inputs)
    for _ in range(2):
        y = layers.ReLU()(layers.BatchNormalization()(x))
        y = layers.Conv2D(16, 3, padding="same", use_bias=False)(y)
        y = layers.Dropout(0.3)(layers.ReLU()(layers.BatchNormalization()(y)))
        x = layers.Add()([x, layers.Conv2D(16, 3, padding="same", use_bias=False)(y)])
    return classified(inputs, layers.ReLU()(layers.BatchNormalization()(x)))


def densenet():
    """Huang et al. 2017, arXiv:1608.06993."""
    inputs = keras.Input(SIDE)
    x = layers.Conv2D(8, 3, padding="same", use_bias=False)(inputs)
    for block in range(2):
        for _ in range(3):
            y = layers.ReLU()(layers.BatchNormalization()(x))
            y = layers.Conv2D(4, 3, padding="same", use_bias=False)(y)
            x = layers.Concatenate()([x, y])
        if not block:
            x = conv_bn(x, x.shape[-1] // 2, 1)
            x = layers.AveragePooling2D(2)(x)
    return classified(inputs, layers.ReLU()(layers.BatchNormalization()(x)))


def squeezenet():
    """Iandola et al. 2016, arXiv:1602.07360."""

    def fire(x, squeeze, expand):
        x = conv(x, squeeze, 1)
        return layers.Concatenate()([conv(x, expand, 1), conv(x, expand, 3)])

    inputs = keras.Input(SIDE)
    x = layers.MaxPooling2D(3, 2)(conv(inputs, 8, 3, 2))
    x = fire(fire(x, 4, 8), 4, 8)
    x = layers.Dropout(0.5)(fire(x, 4, 8))
    x = layers.GlobalAveragePooling2D()(conv(x, 10, 1))
    return keras.Model(inputs, layers.Activation("softmax")(x))


def squeeze_and_excite(x, ratio=4):
    channels = x.shape[-1]
    gate = layers.GlobalAveragePooling2D(keepdims=True)(x)
    gate = layers.Dense(channels // ratio, activation="relu")(gate)
    return layers.Multiply()([x, layers.Dense(channels, activation="sigmoid")(gate)])


def senet():
    """Hu et al. 2018, arXiv:1709.01507."""
    inputs = keras.Input(SIDE)
    x = conv_bn(inputs, 8)
    for _ in range(2):
        y = squeeze_and_excite(conv_bn(conv_bn(x, 8), 8, activation=None))
        x = layers.ReLU()(layers.Add()([x, y]))
    return classified(inputs, x)


def cbam():
    """Woo et al. 2018, arXiv:1807.06521: channel and spatial attention, the perceptron shared by two poolings."""
    inputs = keras.Input(SIDE)
    x = conv_bn(inputs, 8)
    for block in range(2):
        y = conv_bn(x, 8, activation=None)
        perceptron = keras.Sequential([layers.Dense(2, activation="relu"), layers.Dense(8)], name=f"shared_{block}")
        channels = perceptron(layers.GlobalAveragePooling2D()(y)) + perceptron(layers.GlobalMaxPooling2D()(y))
        y = y * layers.Reshape((1, 1, 8))(ops.sigmoid(channels))
        pooled = ops.concatenate([ops.mean(y, -1, keepdims=True), ops.max(y, -1, keepdims=True)], -1)
        y = y * layers.Conv2D(1, 7, padding="same", activation="sigmoid")(pooled)
        x = layers.ReLU()(x + y)
    return classified(inputs, x)


def mobilenet_v1():
    """Howard et al. 2017, arXiv:1704.04861."""
    inputs = keras.Input(SIDE)
    x = conv_bn(inputs, 8, strides=2, activation="relu6")
    for filters, strides in ((8, 1), (16, 2), (16, 1)):
        x = layers.DepthwiseConv2D(3, strides, "same", use_bias=False)(x)
        x = layers.ReLU(6.0)(layers.BatchNormalization()(x))
        x = conv_bn(x, filters, 1, activation="relu6")
    return classified(inputs, x)


def _inverted(x, filters, expansion, strides, activation, size=3, squeeze=False):
    y = conv_bn(x, x.shape[-1] * expansion, 1, activation=activation)
    y = layers.DepthwiseConv2D(size, strides, "same", use_bias=False)(y)
    y = layers.Activation(activation)(layers.BatchNormalization()(y))
    if squeeze:
        y = squeeze_and_excite(y)
    y = conv_bn(y, filters, 1, activation=None)
    return layers.Add()([x, y]) if strides == 1 and x.shape[-1] == filters else y


def mobilenet_v2():
    """Sandler et al. 2018, arXiv:1801.04381."""
    inputs = keras.Input(SIDE)
    x = conv_bn(inputs, 8, strides=2, activation="relu6")
    for filters, strides in ((8, 1), (12, 2), (12, 1)):
        x = _inverted(x, filters, 3, strides, "relu6")
    return classified(inputs, conv_bn(x, 32, 1, activation="relu6"))


def mobilenet_v3():
    """Howard et al. 2019, arXiv:1905.02244."""
    inputs = keras.Input(SIDE)
    x = conv_bn(inputs, 8, strides=2, activation="hard_swish")
    x = _inverted(x, 8, 2, 1, "relu", squeeze=True)
    x = _inverted(x, 12, 3, 2, "hard_swish", size=5, squeeze=True)
    x = layers.GlobalAveragePooling2D(keepdims=True)(conv_bn(x, 24, 1, activation="hard_swish"))
    x = layers.Conv2D(32, 1, activation="hard_swish")(x)
    x = layers.Conv2D(10, 1)(layers.Dropout(0.2)(x))
    return keras.Model(inputs, layers.Softmax()(layers.Flatten()(x)))


def efficientnet():
    """Tan & Le 2019, arXiv:1905.11946: MBConv with squeeze, swish and drop of whole samples."""
    inputs = keras.Input(SIDE)
    x = conv_bn(layers.Rescaling(1 / 255)(inputs), 8, strides=2, activation="swish")
    for _ in range(2):
        y = _inverted(x, 8, 2, 1, "swish", squeeze=True)
        x = layers.Add()([x, layers.Dropout(0.1, noise_shape=(None, 1, 1, 1))(y)])
    return classified(inputs, layers.SpatialDropout2D(0.2)(conv_bn(x, 16, 1, activation="swish")))


def shufflenet():
    """Zhang et al. 2018, arXiv:1707.01083: grouped convolutions with channels shuffled between them."""

    def shuffle(x, groups):
        _, height, width, channels = x.shape
        x = ops.reshape(x, (-1, height, width, groups, channels // groups))
        return ops.reshape(ops.transpose(x, (0, 1, 2, 4, 3)), (-1, height, width, channels))

    inputs = keras.Input(SIDE)
    x = conv_bn(inputs, 12, strides=2)
    for _ in range(2):
        y = shuffle(conv_bn(x, 12, 1, groups=3), 3)
        y = layers.BatchNormalization()(layers.DepthwiseConv2D(3, padding="same", use_bias=False)(y))
        x = layers.ReLU()(x + conv_bn(y, 12, 1, activation=None, groups=3))
    return classified(inputs, x)


def convmixer():
    """Trockman & Kolter 2022, arXiv:2201.09792: normalization after the activation."""

    def block(x):
        return layers.BatchNormalization()(layers.Activation("gelu")(x))

    inputs = keras.Input(SIDE)
    x = block(layers.Conv2D(8, 4, 4)(inputs))
    for _ in range(2):
        x = layers.Add()([block(layers.DepthwiseConv2D(5, padding="same")(x)), x])
        x = block(layers.Conv2D(8, 1)(x))
    return classified(inputs, x)


def channels_first():
    """A small residual network in the layout of other frameworks, with layers that run on a CPU."""
    inputs = keras.Input((3, 16, 16))
    x = layers.Permute((2, 3, 1))(inputs)
    x = layers.Permute((3, 1, 2))(layers.Conv2D(8, 3, padding="same")(x))
    x = layers.ReLU()(layers.BatchNormalization(axis=1)(x))
    x = layers.GroupNormalization(4, axis=1)(x)
    x = layers.GlobalAveragePooling2D(data_format="channels_first")(x)
    return keras.Model(inputs, layers.Dense(10)(x))


@keras.saving.register_keras_serializable("collections")
class CapsuleLayer(layers.Layer):
    """Sabour et al. 2017, arXiv:1710.09829: routing by agreement, two rounds."""

    def __init__(self, capsules, size, **kwargs):
        super().__init__(**kwargs)
        self.capsules, self.size = capsules, size

    def build(self, shape):
        self.kernel = self.add_weight(shape=(shape[1], self.capsules, shape[2], self.size), name="kernel")

    def call(self, x):
        votes = ops.einsum("bid,icde->bice", x, self.kernel)
        logits = ops.zeros_like(votes[..., 0])
        for _ in range(2):
            weights = ops.expand_dims(ops.softmax(logits, axis=2), -1)
            total = ops.sum(weights * votes, axis=1)
            squared = ops.sum(ops.square(total), -1, keepdims=True)
            out = total * squared / (1 + squared) / ops.sqrt(squared + 1e-7)
            logits = logits + ops.einsum("bice,bce->bic", votes, out)
        return out

    def get_config(self):
        return {**super().get_config(), "capsules": self.capsules, "size": self.size}


@keras.saving.register_keras_serializable("collections")
def lengths(capsules):
    return ops.norm(capsules, axis=-1)


def capsule_network():
    """Sabour et al. 2017, arXiv:1710.09829."""
    inputs = keras.Input((16, 16, 1))
    x = conv(inputs, 8, 5, 2)
    x = layers.Reshape((-1, 4))(layers.Conv2D(8, 3, 2)(x))
    x = CapsuleLayer(5, 6)(x)
    return keras.Model(inputs, layers.Lambda(lengths)(x))


FAST = {"LeNet-5": lenet_5, "ResNet v1": resnet_v1, "SENet": senet, "MobileNet v2": mobilenet_v2}
SLOW = {
    "AlexNet": alexnet,
    "Network in network": network_in_network,
    "GoogLeNet": googlenet,
    "ResNet v2": resnet_v2,
    "Wide ResNet": wide_resnet,
    "DenseNet": densenet,
    "SqueezeNet": squeezenet,
    "CBAM": cbam,
    "MobileNet v1": mobilenet_v1,
    "MobileNet v3": mobilenet_v3,
    "EfficientNet": efficientnet,
    "ShuffleNet": shufflenet,
    "ConvMixer": convmixer,
    "channels first": channels_first,
    "Capsule network": capsule_network,
}
