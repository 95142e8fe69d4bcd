"""Forms of recurrent layers; a bidirectional layer is computed by the forms of the two layers it holds."""

from __future__ import annotations

import keras
from keras import layers

import keras_normpack
from advisor.litert.forms.form import Form
from advisor.litert.forms.fused_lstm import FORM_FUSED
from advisor.litert.forms.loop import FORM_LOOP, FORM_LOOP_OF_PAIRS
from advisor.litert.forms.unrolled import FORM_UNROLLED, FORM_UNROLLED_WITHOUT_NEED

_ANY_CELL = (FORM_LOOP, FORM_LOOP_OF_PAIRS, FORM_UNROLLED, FORM_UNROLLED_WITHOUT_NEED)

FORMS: dict[type[keras.Layer], tuple[Form, ...]] = {
    layers.LSTM: (*_ANY_CELL, FORM_FUSED),
    layers.GRU: _ANY_CELL,
    layers.SimpleRNN: _ANY_CELL,
    layers.RNN: (*_ANY_CELL, FORM_FUSED),
    keras_normpack.LayerNormLSTM: _ANY_CELL,
    keras_normpack.LayerNormGRU: _ANY_CELL,
}
