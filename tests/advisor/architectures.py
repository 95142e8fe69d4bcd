"""Small models of the architectures that the rules are tried on, a few lines each."""

import keras
from keras import layers, ops

import keras_normpack

WIDTH = 16


# Parts of Transformers


def attend(query, value=None, **arguments):
    value = query if value is None else value
    return layers.Dropout(0.1)(layers.MultiHeadAttention(2, WIDTH // 2)(query, value, **arguments))


def feed_forward(x):
    return layers.Dense(WIDTH)(layers.Dropout(0.1)(layers.Dense(2 * WIDTH, activation="gelu")(x)))


def pre_norm(x, function, norm=layers.LayerNormalization):
    return layers.Add()([x, function(norm()(x))])


def post_norm(x, function, norm=layers.LayerNormalization):
    return norm()(layers.Add()([x, function(x)]))


def bare(x, function):
    return layers.Add()([x, function(x)])


def embedded(vocabulary=50, length=8, mask=False):
    tokens = keras.Input((length,), dtype="int32")
    x = layers.Embedding(vocabulary, WIDTH, mask_zero=mask)(tokens)
    positions = layers.Embedding(length, WIDTH)(ops.expand_dims(ops.arange(length), 0))
    return tokens, x + positions


# Transformers


def bert(blocks=2, wrap=post_norm, mask=True):
    """An encoder of text; normalized behind each addition, as by its authors."""
    tokens, x = embedded(mask=mask)
    x = layers.Dropout(0.1)(x if wrap is bare else layers.LayerNormalization()(x))
    for _ in range(blocks):
        x = wrap(x, attend)
        x = wrap(x, feed_forward)
    x = layers.Dense(WIDTH, activation="tanh")(x[:, 0])
    return keras.Model(tokens, layers.Dense(2, activation="softmax")(x))


def gpt(blocks=2, wrap=pre_norm, causal=True):
    """A decoder without an encoder."""
    tokens, x = embedded()
    for _ in range(blocks):
        x = wrap(x, lambda y: attend(y, use_causal_mask=causal))
        x = wrap(x, feed_forward)
    if wrap is pre_norm:
        x = layers.LayerNormalization()(x)
    return keras.Model(tokens, layers.Dense(50)(x))


def vit(blocks=2, wrap=pre_norm):
    """A Vision Transformer with average pooling, in the operators of `keras.ops`."""
    images = keras.Input((16, 16, 3))
    x = layers.Reshape((16, WIDTH))(layers.Conv2D(WIDTH, 4, strides=4)(images))
    x = x + layers.Embedding(16, WIDTH)(ops.expand_dims(ops.arange(16), 0))
    for _ in range(blocks):
        x = wrap(x, attend)
        x = wrap(x, feed_forward)
    if wrap is pre_norm:
        x = layers.LayerNormalization()(x)
    return keras.Model(images, layers.Dense(5, activation="softmax")(layers.GlobalAveragePooling1D()(x)))


def translator(blocks=2, wrap=pre_norm):
    """Encoder and decoder with cross attention."""
    source, memory = embedded(length=6)
    for _ in range(blocks):
        memory = wrap(memory, attend)
        memory = wrap(memory, feed_forward)
    if wrap is pre_norm:
        memory = layers.LayerNormalization()(memory)
    target, x = embedded(length=8)
    for _ in range(blocks):
        x = wrap(x, lambda y: attend(y, use_causal_mask=True))
        x = wrap(x, lambda y: attend(y, memory))
        x = wrap(x, feed_forward)
    if wrap is pre_norm:
        x = layers.LayerNormalization()(x)
    return keras.Model([source, target], layers.Dense(50)(x))


def convolutional_transformer():
    """The Keras example of time series classification: convolutions for a feed-forward part, normalized inside."""
    series = x = keras.Input((20, 1))
    for _ in range(2):
        branch = layers.LayerNormalization()(layers.Dropout(0.1)(layers.MultiHeadAttention(2, 8)(x, x)))
        middle = branch + x
        branch = layers.Dropout(0.1)(layers.Conv1D(4, 1, activation="relu")(middle))
        x = layers.LayerNormalization()(layers.Conv1D(1, 1)(branch)) + middle
    x = layers.GlobalAveragePooling1D(data_format="channels_last")(x)
    return keras.Model(series, layers.Dense(2, activation="softmax")(layers.Dense(16, activation="relu")(x)))


# Convolutional networks


def conv_norm(x, filters, norm=layers.BatchNormalization, strides=1, activation="relu"):
    x = layers.Conv2D(filters, 3, strides, padding="same", use_bias=False)(x)
    return layers.Activation(activation)(norm()(x) if norm else x)


def up(x, filters, norm=layers.BatchNormalization):
    x = layers.Conv2DTranspose(filters, 4, 2, padding="same", use_bias=False)(x)
    return layers.ReLU()(norm()(x))


def unet_segmentation():
    images = x = keras.Input((32, 32, 3))
    skips = []
    for filters in (8, 16):
        skips.append(conv_norm(x, filters))
        x = layers.MaxPooling2D()(skips[-1])
    x = conv_norm(x, 32)
    for filters, skip in zip((16, 8), reversed(skips), strict=True):
        x = conv_norm(layers.Concatenate()([up(x, filters), skip]), filters)
    return keras.Model(images, layers.Conv2D(1, 1, activation="sigmoid")(x))


def pix2pix(norm=layers.BatchNormalization):
    """The U-Net that translates images, down to a single position."""
    images = x = keras.Input((32, 32, 3))
    skips = []
    for depth in range(5):
        x = layers.Conv2D(8, 4, 2, padding="same", use_bias=False)(x)
        x = layers.LeakyReLU(0.2)(norm()(x) if 0 < depth < 3 else layers.BatchNormalization()(x) if depth else x)
        skips.append(x)
    for skip in reversed(skips[:-1]):
        x = layers.Conv2DTranspose(8, 4, 2, padding="same", use_bias=False)(x)
        large = x.shape[1] >= 4
        x = layers.Concatenate()([layers.ReLU()((norm if large else layers.BatchNormalization)()(x)), skip])
    return keras.Model(images, layers.Conv2DTranspose(3, 4, 2, padding="same", activation="tanh")(x))


def cyclegan(norm=layers.BatchNormalization):
    """The residual network that translates images."""
    images = keras.Input((32, 32, 3))
    x = images
    for filters, strides in ((8, 1), (16, 2), (32, 2)):
        x = conv_norm(x, filters, norm, strides)
    for _ in range(2):
        x = layers.Add()([x, conv_norm(conv_norm(x, 32, norm), 32, norm, activation="linear")])
    x = up(up(x, 16, norm), 8, norm)
    return keras.Model(images, layers.Conv2D(3, 7, padding="same", activation="tanh")(x))


def dncnn():
    """A denoiser, which takes the noise it finds from the image."""
    images = keras.Input((32, 32, 1))
    x = layers.Conv2D(8, 3, padding="same", activation="relu")(images)
    for _ in range(3):
        x = conv_norm(x, 8)
    return keras.Model(images, layers.Subtract()([images, layers.Conv2D(1, 3, padding="same")(x)]))


def autoencoder():
    images = x = keras.Input((32, 32, 3))
    for filters in (8, 16):
        x = conv_norm(x, filters, strides=2)
    for filters in (16, 8):
        x = up(x, filters)
    return keras.Model(images, layers.Conv2D(3, 3, padding="same", activation="tanh")(x))


def srgan_generator():
    """Super-resolution: an image four times as large."""
    images = keras.Input((8, 8, 3))
    x = trunk = layers.Conv2D(8, 3, padding="same", activation="relu")(images)
    for _ in range(2):
        x = layers.Add()([x, conv_norm(conv_norm(x, 8), 8, activation="linear")])
    x = layers.Add()([x, trunk])
    for _ in range(2):
        x = layers.UpSampling2D()(layers.Conv2D(8, 3, padding="same")(x))
    return keras.Model(images, layers.Conv2D(3, 3, padding="same", activation="tanh")(x))


def dcgan_generator():
    noise = keras.Input((32,))
    x = layers.Reshape((4, 4, 16))(layers.Dense(256, use_bias=False)(noise))
    x = up(up(layers.ReLU()(layers.BatchNormalization()(x)), 16), 8)
    return keras.Model(noise, layers.Conv2DTranspose(3, 4, 2, padding="same", activation="tanh")(x))


def dcgan_discriminator(wrapper=None, norm=None):
    images = x = keras.Input((32, 32, 3))
    for filters in (8, 16, 32):
        conv = layers.Conv2D(filters, 4, 2, padding="same")
        x = (wrapper(conv) if wrapper else conv)(x)
        x = layers.LeakyReLU(0.2)(norm()(x) if norm else x)
    return keras.Model(images, layers.Dense(1)(layers.Dropout(0.3)(layers.Flatten()(x))))


def patch_discriminator():
    images = x = keras.Input((64, 64, 3))
    for filters in (8, 16, 32):
        x = layers.LeakyReLU(0.2)(layers.Conv2D(filters, 4, 2, padding="same")(x))
    return keras.Model(images, layers.Conv2D(1, 4, padding="same")(x))


def strided_classifier():
    images = x = keras.Input((32, 32, 3))
    for filters in (8, 16):
        x = conv_norm(x, filters, strides=2)
    return keras.Model(images, layers.Dense(1, activation="sigmoid")(layers.GlobalAveragePooling2D()(x)))


# Recurrent and self-normalizing networks


def bidirectional_gru(norm=None, recurrent=2):
    words = keras.Input((12,), dtype="int32")
    x = layers.Embedding(100, WIDTH, mask_zero=True)(words)
    for _ in range(recurrent - 1):
        x = layers.Bidirectional(layers.GRU(8, return_sequences=True))(x)
        x = layers.Dropout(0.2)(norm()(x) if norm else x)
    return keras.Model(words, layers.Dense(2)(layers.Bidirectional(layers.GRU(8))(x)))


def seq2seq():
    """An encoder that hands its states to a decoder; one recurrent layer each."""
    source, target = keras.Input((None, WIDTH)), keras.Input((None, WIDTH))
    _, hidden, carry = layers.LSTM(8, return_state=True)(source)
    steps, _, _ = layers.LSTM(8, return_sequences=True, return_state=True)(target, initial_state=[hidden, carry])
    return keras.Model([source, target], layers.Dense(20, activation="softmax")(steps))


def recurrent_autoencoder():
    series = keras.Input((10, 3))
    x = layers.RepeatVector(10)(layers.LSTM(8)(series))
    return keras.Model(series, layers.TimeDistributed(layers.Dense(3))(layers.LSTM(8, return_sequences=True)(x)))


def conv_lstm():
    """The Keras example of predicting the next frame, normalized as there."""
    frames = x = keras.Input((None, 16, 16, 1))
    for _ in range(2):
        x = layers.ConvLSTM2D(4, 3, padding="same", return_sequences=True)(x)
    return keras.Model(frames, layers.Conv3D(1, 3, padding="same", activation="sigmoid")(x))


def layer_norm_lstm():
    series = keras.Input((10, 3))
    x = keras_normpack.LayerNormLSTM(8, return_sequences=True)(series)
    return keras.Model(series, layers.Dense(2)(keras_normpack.LayerNormLSTM(8)(x)))


def selu_network(
    initializer="lecun_normal", dropout=layers.AlphaDropout, norm=None, hidden=3, activation="selu", units=16
):
    features = x = keras.Input((10,))
    for _ in range(hidden):
        x = layers.Dense(units, activation=activation, kernel_initializer=initializer)(x)
        x = dropout(0.1)(norm()(x) if norm else x)
    return keras.Model(features, layers.Dense(3, activation="softmax")(x))
