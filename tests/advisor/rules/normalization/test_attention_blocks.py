import keras
import pytest
from keras import layers, ops

import keras_normpack
from advisor.facts import gather_facts
from advisor.graph import ModelGraph, read_graph
from advisor.rules.normalization.attention_blocks import attention_blocks, inside_attention_blocks
from tests.advisor import architectures


def _blocks(model):
    return attention_blocks(gather_facts(read_graph(model)))


def _paths(found):
    return [layer.path for layer in found]


def _attention(**arguments):
    return layers.MultiHeadAttention(2, 4, name="attention", **arguments)


@pytest.mark.parametrize("build", [architectures.bert, architectures.gpt, architectures.vit])
def test_normalized_before_each_part(build):
    blocks = _blocks(build(3, architectures.pre_norm))
    assert len(blocks) == 3
    for block in blocks:
        for part in block.parts:
            assert [layer.kind for layer in part.entries] == ["norm"]
            assert part.is_normalized_inside
            assert not part.is_post_norm
        assert [layer.kind for layer in block.part.branch] == ["norm", "attention", "dropout"]
        assert [layer.kind for layer in block.feed_forward.branch] == ["norm", "dense", "dropout", "dense"]
    # One block begins where the other ends.
    assert blocks[1].part.shortcut is blocks[0].feed_forward.end


@pytest.mark.parametrize("build", [architectures.bert, architectures.gpt, architectures.vit])
def test_normalized_behind_each_addition(build):
    blocks = _blocks(build(3, architectures.post_norm))
    assert len(blocks) == 3
    for block in blocks:
        for part in block.parts:
            assert part.is_post_norm
            assert part.end.kind == "norm"
    assert all(block.feed_forward.is_normalized_before for block in blocks)


def test_not_normalized():
    for block in _blocks(architectures.gpt(2, architectures.bare)):
        for part in block.parts:
            assert not part.is_normalized_before
            assert not part.is_normalized_inside
            assert not part.is_normalized_behind
            assert part.norms == ()


def test_self_and_cross_attention():
    blocks = _blocks(architectures.translator(2))
    assert [block.feed_forward is not None for block in blocks] == [True, True, False, True, False, True]
    assert all(len(block.part.entries) == 1 for block in blocks)


def test_the_memory_of_cross_attention_is_not_inside():
    model = architectures.translator(1)
    inside = [len(block.part.branch) for block in _blocks(model)]
    assert inside == [3, 3, 3]


def test_normalized_inside_and_convolutions_for_a_feed_forward_part():
    blocks = _blocks(architectures.convolutional_transformer())
    assert [layer.kind for layer in blocks[0].feed_forward.branch] == ["conv", "dropout", "conv", "norm"]
    assert all(part.is_normalized_inside for block in blocks for part in block.parts)


def test_arguments_by_name_masks_and_scores():
    inputs, mask = keras.Input((6, 8), name="inputs"), keras.Input((6, 6), name="mask", dtype="bool")
    attended, scores = _attention()(value=inputs, query=inputs, attention_mask=mask, return_attention_scores=True)
    model = keras.Model([inputs, mask], [inputs + attended, ops.mean(scores, axis=1)])
    (block,) = _blocks(model)
    assert block.part.shortcut.path == "inputs"
    assert _paths(block.part.branch) == ["attention"]


def test_grouped_queries_and_stochastic_depth():
    inputs = keras.Input((6, 8), name="inputs")
    attended = layers.GroupQueryAttention(4, 4, 2, name="attention")(inputs, inputs)
    x = keras_normpack.StochasticDepth(0.9, name="sum")([inputs, attended])
    (block,) = _blocks(keras.Model(inputs, x))
    assert block.part.addition.path == "sum"


def test_nested_models():
    tokens = keras.Input((6, 8))
    attended = _attention()(tokens, tokens)
    attention = keras.Model(tokens, layers.Dropout(0.1, name="drop")(attended), name="attend")
    dense = keras.Sequential([layers.Dense(16, name="up"), layers.ReLU(), layers.Dense(8, name="down")], name="feed")
    inputs = keras.Input((6, 8), name="inputs")
    x = layers.Add(name="first")([inputs, attention(inputs)])
    x = layers.Add(name="second")([dense(x), x])
    (block,) = _blocks(keras.Model(inputs, x))
    assert _paths(block.part.branch) == ["attend/attention", "attend/drop"]
    assert _paths(block.part.entries) == ["attend/attention"]
    assert (block.part.shortcut.path, block.part.addition.path) == ("inputs", "first")
    assert _paths(block.feed_forward.entries) == ["feed/up"]
    assert block.feed_forward.addition.path == "second"


def test_parts_side_by_side():
    inputs = keras.Input((6, 8), name="inputs")
    norm = layers.LayerNormalization(name="norm")(inputs)
    dense = layers.Dense(8, name="dense")(norm)
    model = keras.Model(inputs, layers.Add(name="sum")([_attention()(norm, norm), dense, inputs]))
    (block,) = _blocks(model)
    assert block.part.shortcut.path == "inputs"
    assert _paths(block.part.branch) == ["norm", "attention"]


@pytest.mark.parametrize("scaled", ["shortcut", "branch"])
def test_a_scaled_shortcut_is_none_and_a_scaled_branch_is_one(scaled):
    inputs = keras.Input((6, 8))
    attended = _attention()(inputs, inputs)
    outputs = inputs * 2.0 + attended if scaled == "shortcut" else inputs + attended * 0.5
    (block,) = _blocks(keras.Model(inputs, outputs))
    assert (block.part is None) == (scaled == "shortcut")


def test_attention_without_a_shortcut():
    inputs = keras.Input((6, 8))
    x = layers.LayerNormalization()(_attention()(inputs, inputs))
    x = layers.Add()([x, layers.Dense(8)(x)])
    (block,) = _blocks(keras.Model(inputs, x))
    assert block.parts == ()


def test_layers_of_ones_own_may_normalize():
    class Own(layers.Layer):
        def call(self, inputs):
            return inputs

    inputs = keras.Input((6, 8))
    x = inputs + Own()(_attention()(inputs, inputs))
    assert _blocks(keras.Model(inputs, x))[0].part.is_normalized_inside


def test_attention_in_a_layer_of_ones_own_is_found():
    class Block(layers.Layer):
        def __init__(self, **arguments):
            super().__init__(**arguments)
            self.attention = layers.MultiHeadAttention(2, 4, name="attention")

        def call(self, inputs):
            return inputs + self.attention(inputs, inputs)

    inputs = keras.Input((6, 8))
    (block,) = _blocks(keras.Model(inputs, Block(name="block")(inputs)))
    assert block.attention.path == "block/attention"
    assert block.part is not None


def test_what_is_inside():
    model = architectures.gpt(1)
    facts = gather_facts(read_graph(model))
    kinds = sorted(facts[path].kind for path in inside_attention_blocks(facts))
    assert kinds == ["attention", "dense", "dense", "dropout", "dropout", "norm", "norm"]


@pytest.mark.parametrize("wrap", [architectures.pre_norm, architectures.post_norm, architectures.bare])
def test_the_cost_is_linear_in_the_depth(monkeypatch, wrap):
    counted = []
    for name in ("producers", "consumers"):
        method = getattr(ModelGraph, name)
        monkeypatch.setattr(
            ModelGraph, name, lambda graph, path, method=method: (counted.append(path), method(graph, path))[1]
        )

    def cost(blocks):
        facts = gather_facts(read_graph(architectures.translator(blocks, wrap)))
        counted.clear()
        attention_blocks(facts)
        return len(counted)

    assert cost(8) < 2.2 * cost(4)
