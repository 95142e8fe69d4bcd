import keras
import pytest
from keras import layers

from advisor import advise
from advisor.facts import gather_facts
from advisor.graph import read_graph
from advisor.rules.normalization.attention_blocks import attention_blocks
from tests.advisor import architectures


def _advice(model, select="N"):
    return advise(model, select=select, trained=False, verbose=0)


def _norms(model):
    return [layer for layer in model.layers if isinstance(layer, layers.LayerNormalization)]


@pytest.mark.parametrize("blocks", [1, 2, 4])
@pytest.mark.parametrize(
    ("build", "parts", "stacks"),
    [
        (architectures.bert, 2, 1),
        (architectures.gpt, 2, 1),
        (architectures.vit, 2, 1),
        (architectures.translator, 5, 2),
    ],
)
def test_it_alone_speaks_and_normalizes_each_part_beside_the_shortcut(build, parts, stacks, blocks):
    advice = _advice(build(blocks, architectures.bare))
    assert [finding.code for finding in advice.findings] == ["N111"]
    fixed = advice.apply()
    assert len(_norms(fixed)) == blocks * parts + stacks
    for block in attention_blocks(gather_facts(read_graph(fixed))):
        for part in block.parts:
            assert part.branch[0].kind == "norm"
            assert part.shortcut.kind != "norm"
    assert not _advice(fixed).findings


def test_the_result_computes_what_a_model_written_that_way_does():
    bare, normalized = architectures.gpt(1, architectures.bare), architectures.gpt(1, architectures.pre_norm)
    fixed = _advice(bare).apply()
    assert [weight.shape for weight in fixed.weights] != [weight.shape for weight in bare.weights]
    assert sorted(map(str, (w.shape for w in fixed.weights))) == sorted(map(str, (w.shape for w in normalized.weights)))


def test_a_mask_named_before_the_query_is_no_input_to_normalize():
    inputs, mask = keras.Input((6, 8)), keras.Input((6, 6), dtype="bool")
    attended = layers.MultiHeadAttention(2, 4, name="attention")(attention_mask=mask, query=inputs, value=inputs)
    model = keras.Model([inputs, mask], layers.Dense(2)(inputs + attended))
    fixed = _advice(model).apply()
    (norm, _) = sorted(_norms(fixed), key=lambda layer: "attention" not in layer.name)
    assert norm.input is fixed.inputs[0]


def test_the_first_token_normalized_later_needs_no_second_normalization():
    inputs = keras.Input((6, 8))
    x = inputs + layers.MultiHeadAttention(2, 4)(inputs, inputs)
    model = keras.Model(inputs, layers.Dense(2)(layers.LayerNormalization(name="last")(x[:, 0])))
    assert len(_norms(_advice(model).apply())) == 2


def test_the_output_of_a_model_is_left_as_it_is():
    inputs = keras.Input((6, 8))
    model = keras.Model(inputs, layers.Add(name="out")([inputs, layers.MultiHeadAttention(2, 4)(inputs, inputs)]))
    fixed = _advice(model).apply()
    assert fixed.output_names == ["out"]
    assert len(_norms(fixed)) == 1


def test_layers_of_ones_own_are_given_the_benefit_of_the_doubt():
    class Scale(layers.Layer):
        """As in ReZero, which trains without normalization."""

        def build(self, shape):
            self.alpha = self.add_weight(shape=(), initializer="zeros")

        def call(self, inputs):
            return self.alpha * inputs

    model = architectures.gpt(2, lambda x, function: x + Scale()(function(x)))
    assert not _advice(model, "N105,N111").findings


def test_narrow_tokens_and_frozen_attention_are_left_alone():
    inputs = keras.Input((6, 4))
    narrow = keras.Model(inputs, inputs + layers.MultiHeadAttention(2, 4)(inputs, inputs))
    assert not _advice(narrow).findings
    frozen = architectures.gpt(1, architectures.bare)
    frozen.trainable = False
    assert not _advice(frozen, "N111").findings


def test_gated_feed_forward_parts_are_normalized_at_each_entry():
    def gated(x):
        return layers.Dense(16)(layers.Multiply()([layers.Dense(32, activation="silu")(x), layers.Dense(32)(x)]))

    tokens, x = architectures.embedded()
    x = x + architectures.attend(x)
    model = keras.Model(tokens, layers.Dense(4)(x + gated(x)))
    fixed = _advice(model).apply()
    assert len(_norms(fixed)) == 4
    assert not _advice(fixed).findings


def test_one_attention_normalized_behind_its_addition_is_fine():
    tokens = keras.Input((6, 8))
    x = layers.LayerNormalization()(tokens + layers.MultiHeadAttention(2, 4)(tokens, tokens))
    assert not _advice(keras.Model(tokens, layers.Dense(2)(layers.GlobalAveragePooling1D()(x)))).findings


def test_an_attention_among_normalized_convolutions_is_fine():
    images = keras.Input((16, 16, 3))
    maps = architectures.conv_norm(images, 8, strides=2)
    tokens = layers.Reshape((64, 8))(maps)
    attended = layers.Reshape((8, 8, 8))(layers.MultiHeadAttention(2, 4)(tokens, tokens))
    x = layers.Add()([maps, attended])
    assert not _advice(keras.Model(images, layers.Dense(2)(layers.GlobalAveragePooling2D()(x)))).findings
