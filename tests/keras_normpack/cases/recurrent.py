"""Recurrent layers with layer normalization in the step."""

from keras import layers

from keras_normpack import LayerNormGRU, LayerNormLSTM, LayerNormSimpleRNNCell
from tests.keras_normpack.cases import Case

CASES = [
    Case("recurrent_lstm", lambda: LayerNormLSTM(4, return_sequences=True), ((5, 3),)),
    Case("recurrent_lstm_unrolled", lambda: LayerNormLSTM(4, unroll=True, norm_carry=True), ((5, 3),)),
    Case("recurrent_lstm_dropout", lambda: LayerNormLSTM(4, dropout=0.3, recurrent_dropout=0.3), ((5, 3),)),
    Case("recurrent_gru", lambda: LayerNormGRU(4, go_backwards=True), ((5, 3),)),
    Case("recurrent_both_ways", lambda: layers.Bidirectional(LayerNormGRU(4)), ((5, 3),)),
    Case("recurrent_simple", lambda: layers.RNN(LayerNormSimpleRNNCell(4)), ((5, 3),)),
]
