"""What N113 says beyond its cases: of what other rules say of the same layers, and of insertions."""

import keras
import pytest
from keras import layers

from advisor import advise


def _text(*inner):
    features = [keras.Input((12,), dtype="int32"), layers.Embedding(20, 8, mask_zero=True), *inner]
    return keras.Sequential([*features, layers.GlobalMaxPooling1D(), layers.Dense(2)])


@pytest.mark.parametrize("run", [{}, {"batch_size": 2}, {"batch_size": 16, "replicas": 8}])
def test_one_rule_speaks_of_a_layer(run):
    model = _text(layers.Conv1D(8, 3, use_bias=False), layers.BatchNormalization(), layers.ReLU())
    findings = advise(model, select=["N102", "N103", "N104", "N107", "N113"], **run).findings
    assert [finding.code for finding in findings] == ["N113"]


def test_sequences_of_recurrent_layers_are_the_business_of_another_rule():
    model = _text(layers.Conv1D(8, 3), layers.LSTM(8, return_sequences=True), layers.BatchNormalization())
    assert [finding.code for finding in advise(model, select=["N107", "N113"]).findings] == ["N107"]


def test_what_is_inserted_on_padding_is_layer_normalization():
    model = _text(*[layers.Conv1D(8, 3, activation="relu") for _ in range(3)])
    fixed = advise(model, select="N105", batch_size=64).apply()
    assert sum(isinstance(layer, layers.LayerNormalization) for layer in fixed.layers) == 3
    assert not advise(fixed, select="N", batch_size=64).findings
