"""Which rules for attention, recurrent, self-normalizing and generative networks speak on known architectures."""

from collections import Counter

import keras
import pytest
from keras import layers

import keras_normpack
from advisor.facts import TrainingFacts, gather_facts
from advisor.graph import read_graph
from advisor.graph.keras_internals import deferred_variables
from advisor.rules import select_rules
from tests.advisor import architectures as a

RULES = "N105,N107,N108,N109,N110,N111,N115,N116,N118"


def _found(model, **arguments):
    facts = gather_facts(read_graph(model), trained=False, **arguments)
    return Counter(finding.code for rule in select_rules(RULES) for finding in rule.check(facts))


TABLE = [
    (a.bert, {}),
    (a.gpt, {}),
    (a.vit, {}),
    (a.translator, {}),
    (a.convolutional_transformer, {}),
    (a.unet_segmentation, {}),
    (a.pix2pix, {"N115": 5}),
    (a.cyclegan, {"N115": 9}),
    (lambda: a.cyclegan(keras_normpack.InstanceNormalization), {}),
    (a.dncnn, {}),
    (a.autoencoder, {}),
    (a.srgan_generator, {}),
    (a.dcgan_generator, {}),
    (a.dcgan_discriminator, {"N118": 1}),
    (lambda: a.dcgan_discriminator(layers.SpectralNormalization), {}),
    (lambda: a.dcgan_discriminator(norm=layers.BatchNormalization), {"N118": 1}),
    (a.patch_discriminator, {"N118": 1}),
    (a.strided_classifier, {}),
    (a.bidirectional_gru, {"N108": 1}),
    (lambda: a.bidirectional_gru(layers.LayerNormalization), {}),
    (lambda: a.bidirectional_gru(layers.BatchNormalization), {"N107": 1}),
    (a.seq2seq, {}),
    (a.recurrent_autoencoder, {}),
    (a.conv_lstm, {}),
    (a.layer_norm_lstm, {}),
    (a.selu_network, {}),
    (lambda: a.selu_network(dropout=layers.Dropout), {"N116": 1}),
    (lambda: a.selu_network(activation="relu"), {}),
]


@pytest.mark.parametrize(("build", "expected"), TABLE)
def test_only_what_is_wrong_is_found(build, expected):
    for batch_size in (None, 4):
        assert _found(build(), training=TrainingFacts(batch_size)) == expected


@pytest.mark.parametrize("blocks", [2, 4])
@pytest.mark.parametrize("build", [a.bert, a.gpt, a.vit, a.translator])
def test_the_dense_layers_of_transformers_are_the_matter_of_n111_alone(build, blocks):
    assert _found(build(blocks, a.pre_norm)) == {}
    assert _found(build(blocks, a.post_norm)) == {}
    assert _found(build(blocks, a.bare)) == {"N111": 1}


def test_dense_layers_behind_an_attention_block_are_no_part_of_it():
    tokens = keras.Input((6, 8))
    x = layers.LayerNormalization()(tokens + layers.MultiHeadAttention(2, 4)(tokens, tokens))
    x = layers.GlobalAveragePooling1D()(x)
    for _ in range(5):
        x = layers.Dense(8, activation="relu")(x)
    assert _found(keras.Model(tokens, layers.Dense(2)(x))) == {"N105": 1}


@pytest.mark.parametrize("name", ["ResNet50", "EfficientNetB0", "ConvNeXtTiny", "MobileNetV3Small"])
def test_applications(name):
    with deferred_variables():
        model = getattr(keras.applications, name)(weights=None)
    assert _found(model) == {}
