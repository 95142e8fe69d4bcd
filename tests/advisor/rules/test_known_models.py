"""What the rules about heads, dropout and penalties say of well-known networks and of the models of tutorials.

Nothing may be found here that a good engineer would not say of the model.
"""

from collections import Counter

import keras
import numpy as np
import pytest
from keras import layers, ops

from advisor import advise
from advisor.facts import DataFacts, gather_facts
from advisor.graph import read_graph
from advisor.graph.keras_internals import deferred_variables
from advisor.rules import select_rules

RULES = ["D202", "D205", "D206", "D207", "D208", "H601", "H603", "H604", "H605", "R302", "R303", "R305", "R306"]

APPLICATIONS = {
    "VGG16": {"D206", "H605", "R305"},
    "ResNet50": {"D206", "D208", "R305"},
    "ResNet50V2": {"D206", "D208", "R305"},
    "MobileNet": {"R305"},
    "MobileNetV2": {"D206", "R305"},
    "MobileNetV3Small": {"R305"},
    "EfficientNetB0": {"R305"},
    "EfficientNetV2B0": {"R305"},
    "DenseNet121": {"D206", "R305"},
    "InceptionV3": {"D206", "R305"},
    "InceptionResNetV2": {"D206", "D208", "R305"},
    "Xception": {"D206", "R305"},
    "NASNetMobile": {"D206", "R305"},
    "ConvNeXtTiny": {"D206", "D208", "R305"},
}
SLOW = frozenset({"InceptionResNetV2", "NASNetMobile", "InceptionV3", "DenseNet121", "EfficientNetV2B0"})


def _thousand_images():
    return DataFacts(
        samples=1000,
        batch_size=32,
        inputs=(),
        target=None,
        classes=1000,
        modality="image",
        looked_at=0,
        batches=(),
    )


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[pytest.mark.slow] if name in SLOW else []) for name in APPLICATIONS]
)
def test_applications_on_a_thousand_images(name):
    with deferred_variables():
        model = getattr(keras.applications, name)(weights=None)
    facts = gather_facts(read_graph(model), trained=False, data=_thousand_images())
    found = Counter(finding.code for rule in select_rules(RULES) for finding in rule.check(facts))
    assert found == dict.fromkeys(APPLICATIONS[name], 1)


def mnist_cnn():
    # keras.io, "Simple MNIST convnet"
    return keras.Sequential(
        [
            keras.Input((28, 28, 1)),
            layers.Conv2D(32, 3, activation="relu"),
            layers.MaxPooling2D(),
            layers.Conv2D(64, 3, activation="relu"),
            layers.MaxPooling2D(),
            layers.Flatten(),
            layers.Dropout(0.5),
            layers.Dense(10, activation="softmax"),
        ]
    )


def cifar_cnn():
    # The older cifar10_cnn.py of Keras
    def block(filters):
        return [
            layers.Conv2D(filters, 3, padding="same", activation="relu"),
            layers.Conv2D(filters, 3, activation="relu"),
            layers.MaxPooling2D(),
            layers.Dropout(0.25),
        ]

    head = [
        layers.Flatten(),
        layers.Dense(512, activation="relu"),
        layers.Dropout(0.5),
        layers.Dense(10, activation="softmax"),
    ]
    return keras.Sequential([keras.Input((32, 32, 3)), *block(32), *block(64), *head])


def perceptron():
    return keras.Sequential(
        [
            keras.Input((20,)),
            layers.Dense(64, activation="relu"),
            layers.Dense(64, activation="relu"),
            layers.Dense(1, activation="sigmoid"),
        ]
    )


def autoencoder():
    return keras.Sequential(
        [
            keras.Input((784,)),
            layers.Dense(128, activation="relu"),
            layers.Dense(32),
            layers.Dense(128, activation="relu"),
            layers.Dense(784, activation="sigmoid"),
        ]
    )


def imdb_lstm():
    # keras.io, "Bidirectional LSTM on IMDB"
    return keras.Sequential(
        [
            keras.Input((None,), dtype="int32"),
            layers.Embedding(2000, 16),
            layers.Bidirectional(layers.LSTM(16, return_sequences=True)),
            layers.Bidirectional(layers.LSTM(16)),
            layers.Dense(1, activation="sigmoid"),
        ]
    )


def text_cnn():
    # keras.io, "Text classification from scratch"
    return keras.Sequential(
        [
            keras.Input((100,), dtype="int32"),
            layers.Embedding(2000, 16),
            layers.Dropout(0.5),
            layers.Conv1D(32, 7, padding="valid", activation="relu", strides=3),
            layers.Conv1D(32, 7, padding="valid", activation="relu", strides=3),
            layers.GlobalMaxPooling1D(),
            layers.Dense(32, activation="relu"),
            layers.Dropout(0.5),
            layers.Dense(1, activation="sigmoid"),
        ]
    )


def series_transformer():
    # keras.io, "Timeseries classification with a Transformer model"
    inputs = tokens = keras.Input((50, 1))
    for _ in range(4):
        attended = layers.MultiHeadAttention(4, 32, dropout=0.25)(tokens, tokens)
        attended = layers.LayerNormalization()(layers.Dropout(0.25)(attended))
        middle = attended + tokens
        hidden = layers.Conv1D(4, 1, activation="relu")(middle)
        hidden = layers.LayerNormalization()(layers.Conv1D(1, 1)(layers.Dropout(0.25)(hidden)))
        tokens = hidden + middle
    pooled = layers.GlobalAveragePooling1D(data_format="channels_first")(tokens)
    hidden = layers.Dropout(0.4)(layers.Dense(32, activation="relu")(pooled))
    return keras.Model(inputs, layers.Dense(2, activation="softmax")(hidden))


def unet():
    def double(maps, filters):
        for _ in range(2):
            maps = layers.Conv2D(filters, 3, padding="same", activation="relu")(maps)
        return maps

    inputs = keras.Input((32, 32, 3))
    first = double(inputs, 8)
    second = double(layers.MaxPooling2D()(first), 16)
    bottom = double(layers.MaxPooling2D()(second), 32)
    up = layers.Conv2DTranspose(16, 2, strides=2)(bottom)
    up = double(layers.Concatenate()([second, up]), 16)
    up = layers.Conv2DTranspose(8, 2, strides=2)(up)
    up = double(layers.Concatenate()([first, up]), 8)
    return keras.Model(inputs, layers.Conv2D(2, 1, activation="softmax")(up))


def vision_transformer():
    # keras.io, "Image classification with Vision Transformer", with fewer and narrower layers
    inputs = keras.Input((32, 32, 3))
    tokens = layers.Reshape((16, 16))(layers.Conv2D(16, 8, strides=8)(inputs))
    tokens = tokens + layers.Embedding(16, 16)(ops.arange(16))
    for _ in range(8):
        normed = layers.LayerNormalization()(tokens)
        tokens = layers.Add()([layers.MultiHeadAttention(2, 8, dropout=0.1)(normed, normed), tokens])
        hidden = layers.LayerNormalization()(tokens)
        for width in (32, 16):
            hidden = layers.Dropout(0.1)(layers.Dense(width, activation="gelu")(hidden))
        tokens = layers.Add()([hidden, tokens])
    head = layers.Dropout(0.5)(layers.Flatten()(layers.LayerNormalization()(tokens)))
    return keras.Model(inputs, layers.Dense(10)(layers.Dropout(0.5)(layers.Dense(32, activation="gelu")(head))))


def dcgan_generator():
    return keras.Sequential(
        [
            keras.Input((32,)),
            layers.Dense(4 * 4 * 16, use_bias=False),
            layers.BatchNormalization(),
            layers.LeakyReLU(),
            layers.Reshape((4, 4, 16)),
            layers.Conv2DTranspose(8, 5, strides=2, padding="same", use_bias=False),
            layers.BatchNormalization(),
            layers.LeakyReLU(),
            layers.Conv2DTranspose(3, 5, strides=2, padding="same", activation="tanh"),
        ]
    )


def additive_attention():
    # A form often copied: scores bounded by tanh, softmax over the steps
    inputs = keras.Input((12, 8))
    states = layers.GRU(8, return_sequences=True, dropout=0.2)(inputs)
    weights = layers.Softmax(axis=1)(layers.Dense(1, activation="tanh")(states))
    context = ops.sum(states * weights, axis=1)
    return keras.Model(inputs, layers.Dense(3, activation="softmax")(context))


def matrix_factorization():
    user, item = keras.Input((), dtype="int32"), keras.Input((), dtype="int32")
    vectors = [layers.Dense(8)(layers.Embedding(50, 16)(ids)) for ids in (user, item)]
    return keras.Model([user, item], layers.Dot(axes=1)(vectors))


def fine_tuning():
    with_backbone = keras.applications.MobileNetV2(weights=None, include_top=False, input_shape=(32, 32, 3), alpha=0.35)
    with_backbone.trainable = False
    inputs = keras.Input((32, 32, 3))
    maps = with_backbone(keras.layers.Rescaling(1 / 127.5, offset=-1)(inputs), training=False)
    pooled = layers.Dropout(0.2)(layers.GlobalAveragePooling2D()(maps))
    return keras.Model(inputs, layers.Dense(1, activation="sigmoid")(pooled))


def deep_residual():
    inputs = maps = keras.Input((16, 16, 8))
    for _ in range(18):
        branch = maps
        for activation in (layers.ReLU(), None):
            branch = layers.Conv2D(8, 3, padding="same", use_bias=False)(branch)
            branch = layers.BatchNormalization()(branch)
            branch = activation(branch) if activation else branch
        maps = layers.ReLU()(layers.Add()([branch, maps]))
    return keras.Model(inputs, layers.Dense(10, activation="softmax")(layers.GlobalAveragePooling2D()(maps)))


TUTORIALS = [
    (mnist_cnn, {}),
    # Li et al. move the dropout where there is batch normalization; here there is none, and it drops single elements.
    (cifar_cnn, {"D205": 1, "H605": 1}),
    (perceptron, {}),
    (autoencoder, {}),
    (imdb_lstm, {}),
    (text_cnn, {}),
    (series_transformer, {}),
    (unet, {}),
    (vision_transformer, {}),
    (dcgan_generator, {}),
    (additive_attention, {}),
    (matrix_factorization, {}),
    (fine_tuning, {}),
    (deep_residual, {"D208": 1}),
]


@pytest.mark.parametrize(("build", "expected"), TUTORIALS, ids=[build.__name__ for build, _ in TUTORIALS])
def test_tutorials_without_data(build, expected):
    assert Counter(finding.code for finding in advise(build(), select=RULES, verbose=0).findings) == expected


def test_a_recurrent_classifier_on_few_reviews_gets_dropout_in_its_layers_and_none_in_its_head():
    tokens = np.random.default_rng(0).integers(0, 2000, (500, 30))
    advice = advise(imdb_lstm(), data=(tokens, np.arange(500) % 2), batch_size=32, select="D", verbose=0)
    (finding,) = advice.findings
    assert finding.code == "D207"
    rewritten = advice.apply()
    assert [layer.forward_layer.dropout for layer in rewritten.layers if isinstance(layer, layers.Bidirectional)] == [
        0.3,
        0.3,
    ]


def test_a_network_like_vgg_is_told_of_dropout_and_pooling_at_once():
    maps = [layers.Conv2D(8, 3, padding="same", activation="relu"), layers.MaxPooling2D(), layers.Flatten()]
    head = [layers.Dense(64, activation="relu"), layers.Dense(64, activation="relu"), layers.Dense(2, "softmax")]
    images = np.random.default_rng(0).normal(size=(64, 16, 16, 3)).astype("float32")
    model = keras.Sequential([keras.Input((16, 16, 3)), *maps, *head])
    advice = advise(model, data=(images, np.arange(64) % 2), batch_size=16, select="D,H605", verbose=0)
    assert {finding.code: bool(finding.fix) for finding in advice.findings} == {"D206": True, "H605": False}
