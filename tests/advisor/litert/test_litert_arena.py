"""Planned memory: by hand on small graphs, against any plan's lower bound, and against where LiteRT puts tensors."""

from math import inf

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

from advisor.litert.arena import Graph, Lifetime, Step, arena_bytes, lifetimes, most_alive_bytes, planned_bytes
from advisor.litert.conversion import convert_function


def flatbuffer_of(model, batch_size=1):
    (x,) = model.inputs
    specs = {"x": tf.TensorSpec((batch_size, *x.shape[1:]), x.dtype, "x")}

    def serve(**inputs):
        outputs = model(inputs["x"], training=False)
        return {f"y{i}": tf.identity(y) for i, y in enumerate(keras.tree.flatten(outputs))}

    return convert_function(tf.function(serve, autograph=False).get_concrete_function(**specs))


def chain(*names, sizes):
    steps = tuple(Step(name, (i,), (i + 1,)) for i, name in enumerate(names))
    return Graph(dict(enumerate(sizes)), steps, inputs=(0,), outputs=(len(names),))


def test_tensors_live_from_their_operator_to_their_last_reader():
    # 0 → a → 1 → b → 2, 1 and 2 → c → 3; the input is kept to the end, as is the output.
    steps = (Step("TANH", (0,), (1,)), Step("EXP", (1,), (2,)), Step("MAXIMUM", (1, 2), (3,)))
    graph = Graph({0: 100, 1: 200, 2: 300, 3: 400}, steps, inputs=(0,), outputs=(3,))
    assert lifetimes(graph) == (
        Lifetime(100, 0, inf), Lifetime(200, 0, 2), Lifetime(300, 1, 2), Lifetime(400, 2, inf)
    )  # fmt: skip


def test_the_largest_are_placed_first_and_gaps_are_filled():
    # By hand: 100 for the whole run at 0; 400 at 128; 300 does not fit before it and goes behind, at 576; 200 lives
    # with 300 and 400: at 896.
    graph = (Lifetime(100, 0, inf), Lifetime(200, 0, 2), Lifetime(300, 1, 2), Lifetime(400, 2, inf))
    assert planned_bytes(graph) == 896 + 200
    # Of 64, two gaps are free beside those that are alive; it takes the tighter one.
    tight = [Lifetime(640, 0, 0), Lifetime(576, 0, 5), Lifetime(512, 0, 5), Lifetime(64, 5, 5)]
    assert planned_bytes(tight) == 640 + 576 + 512


def test_what_is_not_read_is_kept_to_the_end():
    graph = Graph({0: 64, 1: 64, 2: 64}, (Step("SPLIT", (0,), (1, 2)),), inputs=(0,), outputs=(1,))
    assert planned_bytes(lifetimes(graph)) == 192


@pytest.mark.parametrize(("name", "pieces"), [("ADD", 3), ("SOFTMAX", 3), ("RESHAPE", 3), ("EXP", 4)])
def test_only_some_operators_work_in_place(name, pieces):
    assert len(lifetimes(chain("TANH", name, "TANH", sizes=[64] * 4))) == pieces


def test_nothing_is_written_over_that_is_still_read():
    steps = (Step("TANH", (0,), (1,)), Step("SOFTMAX", (1,), (2,)), Step("MAXIMUM", (1, 2), (3,)))
    graph = Graph(dict.fromkeys(range(4), 64), steps, inputs=(0,), outputs=(3,))
    assert len(lifetimes(graph)) == 4


@pytest.mark.parametrize("name", ["SOFTMAX", "RESHAPE"])
def test_inputs_and_outputs_of_the_graph_share_no_memory(name):
    assert len(lifetimes(chain(name, sizes=[64, 64]))) == 2


def test_the_other_input_is_written_over_where_the_first_is_a_weight():
    steps = (Step("TANH", (0,), (1,)), Step("SUB", (9, 1), (2,)), Step("TANH", (2,), (3,)))
    graph = Graph(dict.fromkeys(range(4), 64), steps, inputs=(0,), outputs=(3,))
    assert len(lifetimes(graph)) == 3


def test_no_plan_is_below_what_is_alive_at_once_and_no_two_overlap():
    random = np.random.default_rng(0)
    for _ in range(200):
        starts = random.integers(0, 12, 15)
        pieces = [Lifetime(int(random.integers(1, 500)), int(s), int(s + random.integers(0, 6))) for s in starts]
        planned = planned_bytes(pieces)
        assert most_alive_bytes(pieces) <= planned <= sum(-(-p.size // 64) * 64 for p in pieces)
    assert most_alive_bytes(pieces) == max(sum(p.size for p in pieces if p.first <= t <= p.last) for t in range(20))


def addresses(flatbuffer):
    """Where LiteRT puts the tensors that are no constants, without delegates."""
    from ai_edge_litert.interpreter import Interpreter, OpResolverType

    interpreter = Interpreter(
        model_content=flatbuffer, experimental_op_resolver_type=OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES
    )
    constants = {
        tensor["index"]: interpreter.tensor(tensor["index"])
        for tensor in interpreter.get_tensor_details()
        if _has_data(interpreter, tensor["index"])
    }
    interpreter.allocate_tensors()
    arrays = [
        interpreter.tensor(tensor["index"])()
        for tensor in interpreter.get_tensor_details()
        if tensor["index"] not in constants
    ]
    return [(array.ctypes.data, array.ctypes.data + array.nbytes) for array in arrays]


def _has_data(interpreter, index):
    try:
        interpreter.get_tensor(index)
    except ValueError:
        return False
    return True


def separable():
    stack = [
        layers.Conv2D(8, 1), layers.ReLU(), layers.DepthwiseConv2D(3), layers.MaxPooling2D(), layers.Conv2D(12, 1),
        layers.AveragePooling2D(2), layers.Flatten(), layers.Dense(7), layers.Softmax(),
    ]  # fmt: skip
    return keras.Sequential([keras.Input((16, 16, 4)), *stack])


def residual():
    x = keras.Input((32, 32, 4))
    y = layers.Conv2D(8, 1)(x)
    z = keras.ops.tanh(y + layers.DepthwiseConv2D(3, padding="same")(y))
    w = layers.Reshape((256, 8))(layers.MaxPooling2D()(z * y))
    return keras.Model(x, [layers.Dense(3)(layers.Flatten()(layers.Softmax()(w * 2.0))), z])


def dense():
    return keras.Sequential([keras.Input((64,)), *[layers.Dense(32 + i % 5, activation="relu") for i in range(12)]])


# No layer in these needs scratch memory, which stands in no file.
@pytest.mark.parametrize("build", [separable, residual, dense])
def test_the_plan_is_litert_s_own(build):
    flatbuffer = flatbuffer_of(build())
    spans = addresses(flatbuffer)
    assert arena_bytes(flatbuffer) == max(end for _, end in spans) - min(start for start, _ in spans)


@pytest.mark.parametrize("build", [separable, residual])
def test_a_model_that_leaves_the_batch_open_is_planned_for_the_batch_it_is_given(build):
    model = build()
    shapes = {"x": (3, *model.input_shape[1:])}
    assert arena_bytes(flatbuffer_of(model, None), shapes) == arena_bytes(flatbuffer_of(model, 3))


def test_every_subgraph_has_an_arena_of_its_own():
    import flatbuffers
    from ai_edge_litert import schema_py_generated as schema

    flatbuffer = flatbuffer_of(dense())
    model = schema.ModelT.InitFromPackedBuf(flatbuffer)
    model.subgraphs *= 3
    builder = flatbuffers.Builder()
    builder.Finish(model.Pack(builder), b"TFL3")
    assert arena_bytes(bytes(builder.Output())) == 3 * arena_bytes(flatbuffer)


def test_the_body_of_a_loop_counts():
    looped = keras.Sequential([keras.Input((9, 4)), layers.LSTM(64)])
    # Two states of 64 numbers in the loop's operator, and at least once more in its body.
    assert arena_bytes(flatbuffer_of(looped)) > 2 * 2 * 64 * 4


def test_weights_do_not_count():
    # An input of 32 bytes, hidden values at 64, an output of 8 bytes behind them.
    small, large = (keras.Sequential([keras.Input((8,)), layers.Dense(n), layers.Dense(2)]) for n in (16, 800))
    assert arena_bytes(flatbuffer_of(small)) == 64 + 16 * 4 + 8
    assert arena_bytes(flatbuffer_of(large)) == 64 + 800 * 4 + 8
