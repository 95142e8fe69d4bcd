"""Networks that give images, volumes or masks, as their papers give them, in small widths."""

from __future__ import annotations

import keras
from keras import layers, ops

SIDE = (32, 32, 3)


def _twice(x, filters):
    for _ in range(2):
        x = layers.Conv2D(filters, 3, padding="same", use_bias=False)(x)
        x = layers.ReLU()(layers.BatchNormalization()(x))
    return x


def u_net():
    """Ronneberger et al. 2015, arXiv:1505.04597."""
    inputs = keras.Input(SIDE)
    x, skips = inputs, []
    for filters in (8, 16):
        x = _twice(x, filters)
        skips.append(x)
        x = layers.MaxPooling2D()(x)
    x = layers.Dropout(0.5)(_twice(x, 32))
    for filters in (16, 8):
        x = layers.Conv2DTranspose(filters, 2, 2)(x)
        x = _twice(layers.Concatenate()([x, skips.pop()]), filters)
    model = keras.Model(inputs, layers.Conv2D(4, 1, activation="softmax")(x))
    model.compile("adam", "sparse_categorical_crossentropy")
    return model


def v_net():
    """Milletari et al. 2016, arXiv:1606.04797: volumes, residual, parametric activations."""
    inputs = keras.Input((16, 16, 16, 1))
    fine = layers.PReLU()(layers.Conv3D(4, 5, padding="same")(inputs) + inputs)
    x = layers.PReLU()(layers.Conv3D(8, 2, 2)(fine))
    x = layers.PReLU()(layers.Add()([x, layers.Conv3D(8, 3, padding="same")(x)]))
    x = layers.PReLU()(layers.Conv3DTranspose(4, 2, 2)(x))
    x = layers.Conv3D(4, 3, padding="same")(layers.Concatenate()([x, fine]))
    return keras.Model(inputs, layers.Conv3D(2, 1, activation="softmax")(x))


def fcn():
    """Long et al. 2015, arXiv:1411.4038: any image size, scores of two scales added."""
    inputs = keras.Input((None, None, 3))
    x = layers.MaxPooling2D()(layers.Conv2D(8, 3, padding="same", activation="relu")(inputs))
    fine = layers.Conv2D(4, 1)(x)
    x = layers.MaxPooling2D()(layers.Conv2D(16, 3, padding="same", activation="relu")(x))
    x = layers.Dropout(0.5)(layers.Conv2D(16, 5, padding="same", activation="relu")(x))
    coarse = layers.Conv2DTranspose(4, 4, 2, "same", use_bias=False)(layers.Conv2D(4, 1)(x))
    x = layers.Conv2DTranspose(4, 4, 2, "same", use_bias=False)(layers.Add()([coarse, fine]))
    return keras.Model(inputs, layers.Softmax()(x))


def segnet():
    """Badrinarayanan et al. 2017, arXiv:1511.00561."""
    stack = [keras.Input(SIDE)]
    for filters in (8, 16):
        stack += [layers.Conv2D(filters, 3, padding="same"), layers.BatchNormalization(), layers.ReLU()]
        stack += [layers.MaxPooling2D()]
    for filters in (16, 8):
        stack += [layers.UpSampling2D(), layers.Conv2D(filters, 3, padding="same")]
        stack += [layers.BatchNormalization(), layers.ReLU()]
    return keras.Sequential([*stack, layers.Conv2D(4, 1), layers.Softmax()])


def dncnn():
    """Zhang et al. 2017, arXiv:1608.03981: the network gives the noise, which is taken from the image."""
    inputs = keras.Input((None, None, 1))
    x = layers.Conv2D(8, 3, padding="same", activation="relu")(inputs)
    for _ in range(3):
        x = layers.Conv2D(8, 3, padding="same", use_bias=False)(x)
        x = layers.ReLU()(layers.BatchNormalization()(x))
    model = keras.Model(inputs, layers.Subtract()([inputs, layers.Conv2D(1, 3, padding="same")(x)]))
    model.compile("adam", "mse")
    return model


def srcnn():
    """Dong et al. 2014, arXiv:1501.00092."""
    stack = [layers.Conv2D(8, 9, padding="same", activation="relu"), layers.Conv2D(4, 1, activation="relu")]
    return keras.Sequential([keras.Input((24, 24, 1)), *stack, layers.Conv2D(1, 5, padding="same")])


def espcn():
    """Shi et al. 2016, arXiv:1609.05158: channels become pixels."""

    def to_pixels(x):
        _, height, width, channels = x.shape
        x = ops.reshape(x, (-1, height, width, 2, 2, channels // 4))
        return ops.reshape(ops.transpose(x, (0, 1, 3, 2, 4, 5)), (-1, height * 2, width * 2, channels // 4))

    inputs = keras.Input((12, 12, 1))
    x = layers.Conv2D(8, 5, padding="same", activation="tanh")(inputs)
    x = layers.Conv2D(8, 3, padding="same", activation="tanh")(x)
    return keras.Model(inputs, to_pixels(layers.Conv2D(4, 3, padding="same")(x)))


def pix2pix():
    """Isola et al. 2017, arXiv:1611.07004: a U-Net with leaky activations and dropout in the decoder."""
    inputs = keras.Input(SIDE)
    x = layers.LeakyReLU(0.2)(layers.Conv2D(8, 4, 2, "same")(inputs))
    skip = x
    x = layers.BatchNormalization()(layers.Conv2D(16, 4, 2, "same", use_bias=False)(x))
    x = layers.Conv2DTranspose(8, 4, 2, "same", use_bias=False)(layers.LeakyReLU(0.2)(x))
    x = layers.ReLU()(layers.Dropout(0.5)(layers.BatchNormalization()(x)))
    x = layers.Concatenate()([x, skip])
    return keras.Model(inputs, layers.Conv2DTranspose(3, 4, 2, "same", activation="tanh")(x))


def cyclegan_generator():
    """Zhu et al. 2017, arXiv:1703.10593: instance normalization, residual blocks."""

    def block(x, filters, strides=1):
        x = layers.Conv2D(filters, 3, strides, "same", use_bias=False)(x)
        return layers.GroupNormalization(-1)(x)

    inputs = keras.Input(SIDE)
    x = layers.ReLU()(block(block(inputs, 8), 16, 2))
    for _ in range(2):
        x = layers.Add()([x, block(layers.ReLU()(block(x, 16)), 16)])
    x = layers.Conv2DTranspose(8, 3, 2, "same", use_bias=False)(x)
    x = layers.ReLU()(layers.GroupNormalization(-1)(x))
    return keras.Model(inputs, layers.Conv2D(3, 7, padding="same", activation="tanh")(x))


def dcgan_generator():
    """Radford et al. 2016, arXiv:1511.06434."""
    stack = [keras.Input((16,)), layers.Dense(4 * 4 * 16, use_bias=False), layers.Reshape((4, 4, 16))]
    stack += [layers.BatchNormalization(), layers.ReLU()]
    for filters in (8, 8):
        stack += [layers.Conv2DTranspose(filters, 4, 2, "same", use_bias=False)]
        stack += [layers.BatchNormalization(), layers.ReLU()]
    return keras.Sequential([*stack, layers.Conv2DTranspose(3, 4, 2, "same", activation="tanh")])


def dcgan_discriminator():
    """Radford et al. 2016, arXiv:1511.06434."""
    stack = [keras.Input(SIDE), layers.Conv2D(8, 4, 2, "same"), layers.LeakyReLU(0.2)]
    stack += [layers.Conv2D(16, 4, 2, "same", use_bias=False), layers.BatchNormalization(), layers.LeakyReLU(0.2)]
    return keras.Sequential([*stack, layers.Flatten(), layers.Dropout(0.3), layers.Dense(1)])


@keras.saving.register_keras_serializable("collections")
class DCGAN(keras.Model):
    """The pair as Keras's own guide puts it: a model that is given the two."""

    def __init__(self, generator, discriminator, **kwargs):
        super().__init__(**kwargs)
        self.generator, self.discriminator = generator, discriminator

    def call(self, noise):
        return self.discriminator(self.generator(noise))

    def get_config(self):
        parts = {"generator": self.generator, "discriminator": self.discriminator}
        return {
            **super().get_config(),
            **{name: keras.saving.serialize_keras_object(part) for name, part in parts.items()},
        }

    @classmethod
    def from_config(cls, config):
        for name in ("generator", "discriminator"):
            config[name] = keras.saving.deserialize_keras_object(config[name])
        return cls(**config)


def dcgan():
    """Radford et al. 2016, arXiv:1511.06434: both in one subclassed model."""
    pair = [dcgan_generator(), dcgan_discriminator()]
    for part, name in zip(pair, ("generator", "discriminator"), strict=True):
        part.name = name
    model = DCGAN(*pair, name="dcgan")
    model(ops.ones((1, 16)))
    return model


def autoencoder():
    """Hinton & Salakhutdinov 2006: encoder and decoder, each a model of its own."""
    encoder = [layers.Dense(16, activation="relu"), layers.Dense(4, name="code")]
    decoder = [layers.Dense(16, activation="relu"), layers.Dense(20, activation="sigmoid")]
    encoder = keras.Sequential([keras.Input((20,)), *encoder], name="encoder")
    decoder = keras.Sequential([keras.Input((4,)), *decoder], name="decoder")
    model = keras.Sequential([encoder, decoder])
    model.compile("adam", "mse")
    return model


@keras.saving.register_keras_serializable("collections")
class Sampling(layers.Layer):
    """Draws from a normal distribution and adds its divergence to the loss."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.seed_generator = keras.random.SeedGenerator(1)

    def call(self, inputs):
        mean, log_variance = inputs
        divergence = ops.mean(ops.exp(log_variance) + ops.square(mean) - 1 - log_variance)
        self.add_loss(divergence / 2)
        noise = keras.random.normal(ops.shape(mean), seed=self.seed_generator)
        return mean + ops.exp(log_variance / 2) * noise


def variational_autoencoder():
    """Kingma & Welling 2014, arXiv:1312.6114."""
    inputs = keras.Input((16, 16, 1))
    x = layers.Conv2D(4, 3, 2, "same", activation="relu")(inputs)
    x = layers.Dense(8, activation="relu")(layers.Flatten()(x))
    code = Sampling(name="sampling")([layers.Dense(2, name="mean")(x), layers.Dense(2, name="log_variance")(x)])
    x = layers.Reshape((8, 8, 2))(layers.Dense(128, activation="relu")(code))
    return keras.Model(inputs, layers.Conv2DTranspose(1, 3, 2, "same", activation="sigmoid")(x))


FAST = {"U-Net": u_net, "DCGAN": dcgan, "Variational autoencoder": variational_autoencoder}
SLOW = {
    "V-Net": v_net,
    "FCN": fcn,
    "SegNet": segnet,
    "DnCNN": dncnn,
    "SRCNN": srcnn,
    "ESPCN": espcn,
    "pix2pix": pix2pix,
    "CycleGAN": cyclegan_generator,
    "DCGAN generator": dcgan_generator,
    "DCGAN discriminator": dcgan_discriminator,
    "Autoencoder": autoencoder,
}
