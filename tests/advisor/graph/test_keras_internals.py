"""What the private parts of Keras say, held against its public `get_config()` and behaviour."""

import sys

import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from keras import layers

from advisor.graph import keras_internals as internals
from tests.advisor.graph.topology import assert_same_topology

# One of every family in the default run, the others in the slow one.
FAMILIES = {
    "ConvNeXtTiny",
    "DenseNet121",
    "EfficientNetB0",
    "EfficientNetV2B0",
    "InceptionResNetV2",
    "InceptionV3",
    "MobileNet",
    "MobileNetV2",
    "MobileNetV3Small",
    "NASNetMobile",
    "ResNet50",
    "ResNet50V2",
    "VGG16",
    "Xception",
}
APPLICATIONS = sorted(name for name in vars(keras.applications) if name[0].isupper())


@pytest.mark.parametrize(
    "name", [name if name in FAMILIES else pytest.param(name, marks=pytest.mark.slow) for name in APPLICATIONS]
)
def test_topology_of_applications(name):
    with internals.deferred_variables():
        model = getattr(keras.applications, name)(weights=None)
    assert_same_topology(model)


def test_all_applications_are_covered():
    assert set(APPLICATIONS) >= FAMILIES
    assert len(APPLICATIONS) >= 38


STEP = st.tuples(
    st.sampled_from(["new", "shared", "nested", "add", "op", "split", "inline"]), st.integers(0, 99), st.integers(0, 99)
)


@settings(max_examples=15)
@given(inputs=st.integers(1, 3), steps=st.lists(STEP, min_size=1, max_size=8), outputs=st.integers(1, 3))
def test_topology_of_random_graphs(inputs, steps, outputs):
    keras.utils.clear_session()
    shared = layers.Dense(4, name="shared")
    inner_in = [keras.Input((4,)), keras.Input((4,))]
    inner = keras.Model(inner_in, [layers.Add()(inner_in), shared(inner_in[1])], name="inner")
    sources = [keras.Input((4,), name=f"input_{index}") for index in range(inputs)]
    tensors = list(sources)
    for kind, first, second in steps:
        a, b = tensors[first % len(tensors)], tensors[second % len(tensors)]
        match kind:
            case "new":
                tensors.append(layers.Dense(4)(a))
            case "shared":
                tensors.append(shared(a))
            case "nested":
                tensors += inner([a, b])
            case "add":
                tensors.append(layers.Add()([a, b]))
            case "op":
                tensors.append(keras.ops.where(a > 0, x1=b, x2=a))
            case "split":
                tensors += [keras.ops.tile(part, (1, 2)) for part in keras.ops.split(a, 2, axis=-1)]
            case "inline":
                tensors.append(a * 2.0 + b)
    ends = {f"out_{index}": tensor for index, tensor in enumerate(tensors[-outputs:])}
    assert_same_topology(keras.Model(sources, ends))


def structures():
    x = keras.Input((6,), dtype="int32", name="tokens")
    h = layers.Embedding(9, 4, mask_zero=True)(x)
    h = layers.Bidirectional(layers.LSTM(3, return_sequences=True))(h)
    h = layers.TimeDistributed(layers.Dense(3))(h)
    h = layers.MultiHeadAttention(1, 2)(h, value=h, key=h)
    yield "masked", keras.Model(x, layers.GRU(2)(h))
    a, b = keras.Input((4,), name="a"), keras.Input((4,), name="b")
    yield "dict", keras.Model({"b": b, "a": a}, {"sum": a + b, "rest": [layers.Dense(1)(a), b]})
    block = keras.Sequential([keras.Input((4,)), layers.Dense(4), layers.ReLU()], name="block")
    twice = keras.Model(a, block(block(a)), name="twice")
    yield "nested", keras.Sequential([keras.Input((4,)), twice, layers.Dense(2)])
    deep, shallow = a, layers.Dense(4, name="again")
    late = shallow(a)
    for _ in range(3):
        deep = layers.ReLU()(deep)
    yield "calls in another order than depth", keras.Model(a, [shallow(deep), late])


@pytest.mark.parametrize(
    ("name", "model"), list(structures()), ids=lambda value: value if isinstance(value, str) else ""
)
def test_topology_of_structures(name, model):
    assert_same_topology(model)


def test_deferred_variables_take_no_memory_and_their_first_value():
    with internals.deferred_variables():
        model = keras.Sequential([keras.Input((10_000,)), layers.Dense(50_000, name="dense"), layers.Dropout(0.1)])
    dense = model.get_layer("dense")
    assert model.count_params() == 10_000 * 50_000 + 50_000
    assert all(internals.is_deferred(variable) for variable in dense.weights)
    with keras.StatelessScope():
        pass  # the end of another scope must not draw the values
    assert internals.is_deferred(dense.kernel)
    internals.initialize(dense.bias, np.arange(50_000))
    np.testing.assert_array_equal(dense.bias, np.arange(50_000))
    internals.initialize(dense.bias, np.zeros(50_000))
    np.testing.assert_array_equal(dense.bias, 0)


def test_a_deferred_variable_draws_from_its_own_initializer():
    with internals.deferred_variables():
        layer = layers.Dense(3, kernel_initializer="ones")
        layer.build((None, 2))
    for variable in layer.weights:
        internals.initialize_fresh(variable)
    np.testing.assert_array_equal(layer(np.ones((1, 2))), [[2, 2, 2]])
    internals.initialize(layer.kernel, np.zeros((2, 3)))
    internals.initialize_fresh(layer.kernel)
    np.testing.assert_array_equal(layer.kernel, 0)


def test_initialized_variables_do_not_share_storage():
    source = keras.Variable(np.ones(3))
    with internals.deferred_variables():
        target = keras.Variable("zeros", shape=(3,))
    internals.initialize(target, source)
    source.assign(np.full(3, 5.0))
    np.testing.assert_array_equal(target, 1)


def test_functional_form_of_every_kind_of_model():
    class Sub(keras.Model):
        def call(self, x):
            return x

    functional = keras.Model(*[keras.Input((1,))] * 2)
    assert internals.functional_form(functional) is functional
    assert internals.functional_form(keras.Sequential([keras.Input((1,)), layers.Dense(1)])) is not None
    assert internals.functional_form(keras.Sequential([layers.Dense(1)])) is None
    assert internals.functional_form(Sub()) is None


def test_models_whose_class_takes_inputs_and_outputs_rebuild_from_their_graph():
    class Same(keras.Model):
        pass

    class Own(keras.Model):
        def __init__(self, width):
            x = keras.Input((width,))
            super().__init__(x, layers.Dense(1)(x))

    x = keras.Input((2,))
    assert internals.rebuilds_from_graph(keras.Model(x, x))
    assert internals.rebuilds_from_graph(Same(x, x))
    assert not internals.rebuilds_from_graph(Own(3))


def test_compile_arguments_are_those_given():
    model = keras.Sequential([keras.Input((1,)), layers.Dense(1)])
    assert internals.compile_arguments(model) == {}
    loss = keras.losses.MeanSquaredError()
    model.compile("sgd", loss=loss, metrics=["mae"])
    arguments = internals.compile_arguments(model)
    assert arguments["loss"] is loss
    assert arguments["metrics"] == ["mae"]


def test_wrapped_layers_and_the_layer_tree():
    dense = layers.Dense(2)
    wrapper = layers.TimeDistributed(layers.SpectralNormalization(dense))
    assert internals.wrapped_layers(wrapper)[0].layer is dense
    assert internals.wrapped_layers(dense) == ()
    both = layers.Bidirectional(layers.LSTM(1))
    assert internals.wrapped_layers(both) == (both.forward_layer, both.backward_layer)
    assert internals.layer_tree(wrapper) == [wrapper, wrapper.layer, dense]


def test_own_variables_leave_out_sublayers_and_hold_seeds():
    model = keras.Sequential([keras.Input((2,)), layers.Dense(1), layers.Dropout(0.1)])
    dense, dropout = model.layers
    assert internals.own_variables(model) == []
    assert [v.name for v in internals.own_variables(dense)] == ["kernel", "bias"]
    assert [v.name for v in internals.own_variables(dropout)] == ["seed_generator_state"]


def test_accepts_argument_and_is_built():
    assert internals.accepts_argument(layers.Dropout(0.1), "training")
    assert not internals.accepts_argument(layers.Flatten(), "training")
    assert internals.accepts_argument(layers.LSTM(1), "mask")
    assert not internals.is_built(keras.Sequential([layers.Dense(1)]))
    assert internals.is_built(keras.Sequential([keras.Input((1,)), layers.Dense(1)]))


def test_a_model_is_built_though_a_layer_it_never_calls_is_not():
    text = layers.TextVectorization(vocabulary=["a", "b"])
    assert internals.is_built(keras.Sequential([keras.Input((), dtype="string"), text]))


def test_deep_models_find_room_further_down_the_stack():
    def chain(length, frames):
        if frames:
            return chain(length, frames - 1)
        x = inputs = keras.Input((1,))
        for _ in range(length):
            x = keras.ops.relu(x)
        return keras.Model(inputs, x)

    limit = sys.getrecursionlimit()
    with pytest.raises(RecursionError):
        chain(limit - 200, 250)
    with internals.room_for_depth(limit):
        assert len(chain(limit - 200, 250).operations) == limit - 199
    assert sys.getrecursionlimit() == limit


def test_a_bare_copy_of_an_operation_leaves_the_graph_of_the_original():
    x = keras.Input((2,))
    model = keras.Model(x, keras.ops.relu(x))
    operation = model.operations[-1]
    copied = internals.bare_copy(operation)
    calls = len(operation._inbound_nodes)
    copied(keras.Input((2,)))
    assert len(operation._inbound_nodes) == calls


def test_masks_are_attached_to_tensors():
    tensor, mask = keras.ops.ones((2, 3)), keras.ops.ones((2,), dtype="bool")
    assert internals.keras_mask(tensor) is None
    internals.attach_mask(tensor, mask)
    assert internals.keras_mask(tensor) is mask


def test_decay_reaches_what_is_not_excluded_from_it():
    model = keras.Sequential([keras.Input((2,)), layers.Dense(3)])
    kernel, bias = model.trainable_variables
    optimizer = keras.optimizers.AdamW(weight_decay=0.1)
    assert internals.decays(optimizer, bias)
    optimizer.exclude_from_weight_decay(var_names=["bias"])
    assert [internals.decays(optimizer, variable) for variable in (kernel, bias)] == [True, False]
    optimizer.exclude_from_weight_decay(var_list=[kernel])
    assert [internals.decays(optimizer, variable) for variable in (kernel, bias)] == [False, True]
    assert not internals.decays(keras.optimizers.SGD(), kernel)
    assert not internals.decays(None, kernel)
