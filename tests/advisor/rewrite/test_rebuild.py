"""A rebuild without edits is the same model in fresh layers; with edits, the same but for them."""

import keras
import numpy as np
import pytest
from keras import layers, ops

from advisor.graph import (
    Configure,
    ConfigureLoss,
    InsertAfter,
    InsertBefore,
    LayerSpec,
    Remove,
    Replace,
    Wrap,
    read_graph,
)
from advisor.graph.keras_internals import compile_arguments, layer_tree
from advisor.graph.sampling import sample_inputs
from advisor.rewrite import RewriteError, rebuild, relative_difference
from advisor.rewrite.errors import UncopyableError
from advisor.testing import randomize_weights, structure
from keras_normpack import WeightNormalization


def nested():
    inner = keras.Sequential([keras.Input((6, 6, 3)), layers.Conv2D(4, 3, name="conv"), layers.ReLU()], name="body")
    image = keras.Input((6, 6, 3), name="image")
    return keras.Model(image, layers.Dense(2, name="head")(layers.Flatten()(inner(image))))


def siamese():
    twin = keras.Sequential([keras.Input((5,)), layers.Dense(4, name="embed")], name="twin")
    left, right = keras.Input((5,), name="left"), keras.Input((5,), name="right")
    distance = ops.abs(twin(left) - twin(right))
    return keras.Model({"left": left, "right": right}, {"score": layers.Dense(1, name="score")(distance)})


def masked_recurrent():
    tokens = keras.Input((None,), dtype="int32", name="tokens")
    x = layers.Embedding(20, 4, mask_zero=True)(tokens)
    x = layers.Bidirectional(layers.LSTM(3, return_sequences=True), name="both")(x)
    x = layers.TimeDistributed(layers.Dense(4, activation="relu"), name="each")(x)
    return keras.Model(tokens, layers.Dense(2)(layers.GRU(3)(x)))


def masked_sequential():
    return keras.Sequential(
        [keras.Input((None,), dtype="int32"), layers.Embedding(9, 4, mask_zero=True), layers.LSTM(3), layers.Dense(2)]
    )


def states():
    sequence = keras.Input((7, 3), name="sequence")
    whole, hidden, cell = layers.LSTM(4, return_sequences=True, return_state=True, name="encoder")(sequence)
    return keras.Model(sequence, [layers.LSTM(4, name="decoder")(whole, initial_state=[hidden, cell]), hidden])


def attention():
    x = keras.Input((6, 8), name="sequence")
    attended = layers.MultiHeadAttention(2, 4, name="attention")(x, x, use_causal_mask=True)
    return keras.Model(x, layers.LayerNormalization()(layers.Add()([x, attended])))


def operations():
    x = keras.Input((4, 4), name="x")
    y = ops.matmul(x, ops.transpose(x, (0, 2, 1)))
    return keras.Model(x, ops.concatenate([ops.softmax(y, axis=-1)[:, :2], y[:, 2:] * 2.0 + 1.0], axis=1))


def lambda_layer():
    return keras.Sequential([keras.Input((4,)), layers.Lambda(lambda x: x * 2 + 1), layers.Dense(3)])


def own_functions():
    def bend(x):
        return ops.maximum(x, 0.1 * x)

    return keras.Sequential(
        [keras.Input((4,)), layers.Dense(3, activation=bend), layers.Dense(2, kernel_regularizer=bend)]
    )


def preprocessing():
    normalization = layers.Normalization(name="scale")
    normalization.adapt(np.random.default_rng(0).normal(3.0, 2.0, (64, 4)).astype("float32"))
    return keras.Sequential([keras.Input((4,)), normalization, layers.Dense(3)])


def half_precision():
    return keras.Sequential(
        [
            keras.Input((6, 6, 3)),
            layers.Conv2D(4, 3, dtype="mixed_float16"),
            layers.BatchNormalization(dtype="mixed_float16"),
            layers.GlobalAveragePooling2D(dtype="mixed_float16"),
            layers.Dense(2, dtype="float32"),
        ]
    )


def channels_first():
    # Not computed, which TensorFlow refuses on a CPU: built and compared by structure.
    return keras.Sequential([keras.Input((3, 6, 6)), layers.Conv2D(4, 3, data_format="channels_first")])


@keras.saving.register_keras_serializable("tests")
class Block(layers.Layer):
    """A hand-written block that hides its layers."""

    def __init__(self, units, **kwargs):
        super().__init__(**kwargs)
        self.units = units
        self.inner = layers.Dense(units)
        self.norm = layers.BatchNormalization()

    def build(self, shape):
        self.inner.build(shape)
        self.norm.build((*shape[:-1], self.units))

    def call(self, x, training=None):
        return self.norm(self.inner(x), training=training)

    def get_config(self):
        return {**super().get_config(), "units": self.units}


def hidden_layers():
    return keras.Sequential([keras.Input((4,)), Block(5, name="block"), layers.Dense(2)])


class Noise(layers.Layer):
    """Random at inference too, as the sampling layer of a variational autoencoder is."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.seed_generator = keras.random.SeedGenerator(1)

    def call(self, x):
        return x + keras.random.normal(ops.shape(x), seed=self.seed_generator)


def autoencoder():
    x, code = keras.Input((6,), name="x"), keras.Input((2,), name="code")
    encoder = keras.Model(x, Noise()(layers.Dense(2)(x)), name="encoder")
    decoder = keras.Model(code, layers.Dense(6)(code), name="decoder")
    return keras.Model(x, decoder(encoder(x)), name="autoencoder")


def recurrent_state():
    inputs = keras.Input(batch_shape=(3, 5, 2))
    x = layers.GRU(4, stateful=True, return_sequences=True, dropout=0.1, recurrent_dropout=0.1)(inputs)
    return keras.Model(inputs, layers.LSTM(3, stateful=True)(x))


class Doubled(layers.Layer):
    """Its `__init__` takes none of the arguments that every layer has."""

    def __init__(self, factor):
        super().__init__()
        self.factor = factor
        self.dense = layers.Dense(4)

    def call(self, x):
        return self.dense(x) * self.factor


def own_arguments_only():
    return keras.Sequential([keras.Input((4,)), layers.Dense(4), Doubled(2.0)])


class Classifier(keras.Model):
    """A functional model with a constructor of its own."""

    def __init__(self, units=3, **kwargs):
        x = keras.Input((4,))
        super().__init__(x, layers.Dense(units)(layers.BatchNormalization()(x)), **kwargs)
        self.units = units

    def get_config(self):
        return {"units": self.units, "name": self.name}


def own_constructor_inside():
    x = keras.Input((4,))
    return keras.Model(x, layers.Dense(2)(Classifier(5)(x)))


def text():
    vectorization = layers.TextVectorization(vocabulary=["a", "b", "c"], output_sequence_length=4)
    words = keras.Input((), dtype="string")
    return keras.Model(words, layers.Dense(2)(layers.Flatten()(layers.Embedding(5, 3)(vectorization(words)))))


MODELS = [
    nested, siamese, masked_recurrent, masked_sequential, states, attention, operations, lambda_layer,
    own_functions, preprocessing, half_precision, hidden_layers, autoencoder, recurrent_state, own_arguments_only,
    own_constructor_inside, text,
]  # fmt: skip


@pytest.mark.parametrize("build", MODELS, ids=lambda build: build.__name__)
def test_a_copy_computes_the_same_and_shares_nothing(build):
    model = randomize_weights(build())
    rebuilt = rebuild(read_graph(model))
    inputs = sample_inputs(model, batch_size=3)
    assert relative_difference(model, rebuilt.model, inputs) == 0.0
    assert all(origin.origin == "kept" for origin in rebuilt.weight_map.values())
    assert len(rebuilt.weight_map) == len(model.variables)
    before = [np.array(weight) for weight in model.get_weights()]
    rebuilt.model.set_weights([np.zeros_like(weight) for weight in before])
    for weight, value in zip(model.get_weights(), before, strict=True):
        np.testing.assert_array_equal(weight, value)


@pytest.mark.parametrize("build", [*MODELS, channels_first], ids=lambda build: build.__name__)
def test_a_copy_has_the_same_structure(build):
    model = build()
    assert structure(rebuild(read_graph(model)).model) == structure(model)


def test_shared_layers_stay_one_layer():
    model = siamese()
    copy = rebuild(read_graph(model)).model
    assert len(copy.weights) == len(model.weights)
    assert len(read_graph(copy).calls_of("twin")) == 2


def test_vocabularies_survive():
    lookup = layers.StringLookup(vocabulary=["a", "b"], name="lookup")
    text = keras.Input((), dtype="string")
    model = keras.Model(text, layers.Embedding(4, 2)(lookup(text)))
    copy = rebuild(read_graph(model)).model
    assert copy.get_layer("lookup").get_vocabulary() == lookup.get_vocabulary()


def test_frozen_parts_stay_frozen():
    model = nested()
    model.trainable = False
    model.get_layer("head").trainable = True
    copy = rebuild(read_graph(model)).model
    assert copy.trainable is False
    assert copy.get_layer("body").trainable is False
    assert copy.get_layer("body").get_layer("conv").trainable is False
    assert copy.get_layer("head").trainable is True
    assert len(copy.trainable_variables) == len(model.trainable_variables)


def test_a_backbone_in_inference_mode_stays_in_it():
    body = keras.Sequential([keras.Input((5,)), layers.BatchNormalization()], name="body")
    x = keras.Input((5,))
    model = keras.Model(x, body(x, training=False))
    copy = rebuild(read_graph(model)).model
    assert read_graph(copy).nodes["body"].call.kwargs["training"] is False


def test_compile_state_and_optimizer_state_survive():
    model = keras.Sequential([keras.Input((4,)), layers.Dense(3, name="dense")])
    model.compile(keras.optimizers.Adam(3e-4), keras.losses.MeanSquaredError(), metrics=["mae"])
    model.fit(np.ones((8, 4)), np.ones((8, 3)), verbose=0)
    copy = rebuild(read_graph(model)).model
    assert copy.get_compile_config() == model.get_compile_config()
    assert copy.optimizer is not model.optimizer
    for new, old in zip(copy.optimizer.variables, model.optimizer.variables, strict=True):
        np.testing.assert_array_equal(new.value, old.value)
    model.fit(np.ones((8, 4)), np.ones((8, 3)), verbose=0, shuffle=False)
    copy.fit(np.ones((8, 4)), np.ones((8, 3)), verbose=0, shuffle=False)
    np.testing.assert_allclose(copy.get_weights()[0], model.get_weights()[0], rtol=1e-6)


def test_a_dead_penalty_stays_dead_until_it_is_bound_on_purpose():
    model = keras.Sequential([keras.Input((4,)), layers.Dense(3, name="dense")])
    model.get_layer("dense").kernel_regularizer = keras.regularizers.L2(0.1)
    graph = read_graph(model)
    assert len(rebuild(graph).model.losses) == 0
    assert len(rebuild(graph, [Configure("dense", {"use_bias": False})]).model.losses) == 0
    assert len(rebuild(graph, [Configure("dense", {})]).model.losses) == 1


def test_new_values_for_a_layer_leave_its_penalties_as_they_are_bound():
    model = keras.Sequential([keras.Input((4,)), layers.BatchNormalization(name="norm")])
    model.get_layer("norm").gamma.regularizer = keras.regularizers.L2(0.1)
    shifted = Configure("norm", {}, weights=lambda read: {"moving_mean": read("norm", "moving_mean") + 1.0})
    assert len(rebuild(read_graph(model), [shifted]).model.losses) == 1


def test_several_changes_of_one_layer_add_up():
    model = randomize_weights(keras.Sequential([keras.Input((4,)), layers.BatchNormalization(name="norm")]))
    shifted = Configure("norm", {}, weights=lambda read: {"moving_mean": read("norm", "moving_mean") + 1.0})
    norm = rebuild(read_graph(model), [shifted, Configure("norm", {"momentum": 0.5})]).model.get_layer("norm")
    assert norm.momentum == 0.5
    np.testing.assert_allclose(norm.moving_mean.value, model.get_layer("norm").moving_mean.value + 1.0)


def test_insertions_go_where_they_are_told():
    model = nested()
    drop, norm = LayerSpec(layers.Dropout, {"rate": 0.2}), LayerSpec(layers.LayerNormalization)
    copy = rebuild(read_graph(model), [InsertBefore("head", (drop,)), InsertAfter("body/conv", (norm, drop))]).model
    graph = read_graph(copy)
    assert graph.producers("head") == ("head_dropout",)
    assert graph.consumers("body/conv") == ("body/conv_layer_normalization",)
    assert graph.consumers("body/conv_layer_normalization") == ("body/conv_dropout",)


def test_the_first_input_is_that_of_the_first_argument_however_the_arguments_are_named():
    inputs, mask = keras.Input((6, 8), name="inputs"), keras.Input((6, 6), dtype="bool", name="mask")
    attended = layers.MultiHeadAttention(2, 4, name="attention")(attention_mask=mask, value=inputs, query=inputs)
    model = keras.Model([inputs, mask], attended)
    copy = rebuild(read_graph(model), [InsertBefore("attention", (LayerSpec(layers.LayerNormalization),))]).model
    graph = read_graph(copy)
    assert graph.producers("attention") == ("attention_layer_normalization",)
    assert graph.producers("attention_layer_normalization") == ("inputs",)


@pytest.mark.parametrize("functional", [False, True])
def test_layers_can_be_put_right_behind_an_input(functional):
    model = keras.Sequential([keras.Input((4,), name="x"), layers.Dense(3, name="dense")])
    if functional:
        model = keras.Model(model.inputs, model.outputs)
    copy = rebuild(read_graph(model), [InsertAfter("x", (LayerSpec(layers.Rescaling, {"scale": 2.0, "offset": 0.0}),))])
    x = np.ones((2, 4), "float32")
    np.testing.assert_allclose(copy.model(x), model(2 * x), rtol=1e-6)
    assert [node.name for node in read_graph(copy.model).inputs] == ["x"]


def test_new_layers_compute_in_the_precision_around_them():
    model = half_precision()
    path = next(path for path, node in read_graph(model).nodes.items() if "conv2d" in path)
    copy = rebuild(read_graph(model), [InsertAfter(path, (LayerSpec(layers.LayerNormalization),))]).model
    assert copy.get_layer(f"{path}_layer_normalization").dtype_policy.name == "mixed_float16"


def test_replacing_keeps_name_and_trainable_flag():
    model = hidden_layers()
    model.get_layer("block").trainable = False
    copy = rebuild(read_graph(model), [Replace("block", LayerSpec(layers.Dense, {"units": 5}))]).model
    assert type(copy.get_layer("block")) is layers.Dense
    assert copy.get_layer("block").trainable is False


def test_configuring_reaches_into_wrappers():
    model = randomize_weights(masked_recurrent())
    rebuilt = rebuild(read_graph(model), [Configure("each", {"use_bias": False})])
    inner = rebuilt.model.get_layer("each").layer
    assert inner.use_bias is False
    np.testing.assert_array_equal(inner.kernel.value, model.get_layer("each").layer.kernel.value)


def test_wrapping_keeps_the_weights():
    model = randomize_weights(nested())
    rebuilt = rebuild(read_graph(model), [Wrap("head", WeightNormalization, {"data_init": False})])
    inputs = sample_inputs(model, batch_size=3)
    assert relative_difference(model, rebuilt.model, inputs) < 1e-6


def test_removing_all_layers_leaves_a_model():
    model = keras.Sequential([keras.Input((4,)), layers.Dropout(0.0, name="drop")])
    copy = rebuild(read_graph(model), [Remove("drop")]).model
    np.testing.assert_array_equal(copy(np.ones((2, 4))), np.ones((2, 4)))


def test_removing_one_of_several_outputs_keeps_their_names():
    x = keras.Input((4,))
    model = keras.Model(x, [layers.Dense(2, name="a")(x), layers.Dropout(0.0, name="b")(layers.Dense(2)(x))])
    copy = rebuild(read_graph(model), [Remove("b")]).model
    assert copy.output_names == model.output_names


def test_removing_a_shared_layer_at_two_outputs():
    x, drop = keras.Input((4,)), layers.Dropout(0.0, name="drop")
    model = keras.Model(x, [drop(layers.Dense(2)(x)), drop(layers.Dense(3)(x))])
    copy = rebuild(read_graph(model), [Remove("drop"), Remove("drop#2")]).model
    assert [tuple(y.shape) for y in copy.outputs] == [(None, 2), (None, 3)]
    assert not [layer for layer in copy.layers if isinstance(layer, layers.Dropout)]


def test_a_layer_without_a_usable_config_is_refused_by_name():
    class Opaque(layers.Layer):
        def __init__(self, table):
            super().__init__(name="opaque")
            self.table = table

        def call(self, x):
            return x

    model = keras.Sequential([keras.Input((4,)), Opaque({1: object()})])
    with pytest.raises(RewriteError, match=r"`opaque` .*get_config"):
        rebuild(read_graph(model))


def test_subclassed_models_are_refused_with_the_reason():
    class Net(keras.Model):
        def __init__(self):
            super().__init__(name="net")
            self.dense = layers.Dense(2)

        def call(self, x):
            return self.dense(x)

    net = Net()
    net(np.ones((1, 3)))
    with pytest.raises(RewriteError, match=r"`dense` cannot be rewritten: .*Python code"):
        rebuild(read_graph(net), [Configure("dense", {"use_bias": False})])


def test_an_edit_of_an_unknown_node_is_refused():
    with pytest.raises(RewriteError, match="no node `nowhere`"):
        rebuild(read_graph(nested()), [Remove("nowhere")])


def test_an_unknown_argument_is_refused():
    with pytest.raises(RewriteError, match=r"`head` .* has no argument colour"):
        rebuild(read_graph(nested()), [Configure("head", {"colour": "red"})])


def test_comparing_leaves_random_seeds_and_states_as_they_are():
    for model in (autoencoder(), recurrent_state()):
        before = [np.array(variable) for variable in model.variables]
        assert relative_difference(model, model, sample_inputs(model, batch_size=3)) == 0.0
        for variable, value in zip(model.variables, before, strict=True):
            np.testing.assert_array_equal(variable, value)


def test_a_model_that_begins_at_the_input_of_a_model_inside_it_still_does():
    model = autoencoder()
    graph = read_graph(rebuild(read_graph(model)).model)
    assert graph.is_shared("x")


def test_hidden_layers_keep_their_names():
    model = hidden_layers()
    keras.utils.clear_session(free_memory=False)
    copy = rebuild(read_graph(model)).model
    names = [layer.name for layer in layer_tree(model)]
    assert [layer.name for layer in layer_tree(copy)] == names
    assert [variable.path for variable in copy.variables] == [variable.path for variable in model.variables]


def test_the_precision_of_inputs_and_models_survives_another_global_one():
    keras.config.set_dtype_policy("mixed_float16")
    try:
        model = keras.Sequential([keras.Input((4,)), layers.Dense(3), layers.Dense(2, dtype="float32")])
        model.compile("adam", "mse")
    finally:
        keras.config.set_dtype_policy("float32")
    copy = rebuild(read_graph(model)).model
    policies = [layer.dtype_policy.name for layer in layer_tree(copy)]
    assert policies == [layer.dtype_policy.name for layer in layer_tree(model)]
    assert copy.get_compile_config() == model.get_compile_config()
    assert isinstance(copy.optimizer, keras.optimizers.LossScaleOptimizer)


def test_a_frozen_input_stays_frozen():
    model = nested()
    model.get_layer("body").layers[0].trainable = False
    model.layers[0].trainable = False
    assert rebuild(read_graph(model)).model.layers[0].trainable is False


@pytest.mark.parametrize("accumulated", [None, 2])
def test_counters_survive_where_the_weights_change(accumulated):
    model = keras.Sequential([keras.Input((4,)), layers.Dense(3, name="first"), layers.Dense(3)])
    inner = keras.optimizers.Adam(gradient_accumulation_steps=accumulated, use_ema=True)
    model.compile(keras.optimizers.LossScaleOptimizer(inner, dynamic_growth_steps=3), "mse")
    model.fit(np.ones((8, 4)), np.ones((8, 3)), batch_size=2, verbose=0)
    copy = rebuild(read_graph(model), [Configure("first", {"use_bias": False})]).model
    assert int(copy.optimizer.iterations) == int(model.optimizer.iterations) > 0
    assert float(copy.optimizer.dynamic_scale) == float(model.optimizer.dynamic_scale)
    copy.fit(np.ones((8, 4)), np.ones((8, 3)), verbose=0)


def test_an_optimizer_that_cannot_be_copied_leaves_the_copy_uncompiled_with_a_warning():
    class Stubborn(keras.optimizers.SGD):
        def __init__(self, *, secret):
            super().__init__()
            self.secret = secret

    model = keras.Sequential([keras.Input((4,)), layers.Dense(3)])
    model.compile(Stubborn(secret=1), "mse")
    with pytest.warns(UserWarning, match="not compiled, since Stubborn cannot be made"):
        copy = rebuild(read_graph(model)).model
    assert not copy.compiled


def test_a_metric_that_cannot_be_copied_is_shared():
    class Stubborn(keras.metrics.Mean):
        def __init__(self, secret):
            super().__init__()

    model = keras.Sequential([keras.Input((4,)), layers.Dense(3)])
    model.compile("sgd", "mse", metrics=[Stubborn(1)])
    assert rebuild(read_graph(model)).model.compiled


def test_a_layer_hidden_in_another_and_used_beside_it_is_refused():
    x, twin = keras.Input((3, 4)), layers.Dense(2, name="twin")
    model = keras.Model(x, layers.Add()([layers.TimeDistributed(twin, name="each")(x), twin(x)]))
    with pytest.raises(UncopyableError, match="share the layer `twin`"):
        rebuild(read_graph(model))


@pytest.mark.parametrize("edit", [InsertAfter, Replace])
def test_what_is_put_at_a_quantized_layer_is_not_quantized(edit):
    model = keras.Sequential([keras.Input((4,)), layers.Dense(3, name="dense")])
    model.quantize("int8")
    spec = LayerSpec(layers.Dropout, {"rate": 0.5})
    copy = rebuild(read_graph(model), [edit("dense", spec if edit is Replace else (spec,))]).model
    assert copy.layers[-1].dtype_policy.name == "float32"
    copy(np.ones((2, 4)), training=True)


def head_names(losses):
    x = keras.Input((4,))
    outputs = {"second": layers.Dense(3, name="b")(x), "first": layers.Dense(3, name="a", activation="softmax")(x)}
    model = keras.Model(x, outputs)
    model.compile("sgd", losses)
    return model


@pytest.mark.parametrize("losses", ["single", "dict"])
def test_the_loss_of_one_output_changes_alone(losses):
    name = "sparse_categorical_crossentropy"
    model = head_names(name if losses == "single" else {"first": name, "second": name})
    graph = read_graph(model)
    position = [source.path for source in graph.outputs].index("b")
    changed = rebuild(graph, [ConfigureLoss("b", position, {"from_logits": True})]).model
    loss = compile_arguments(changed)["loss"]
    assert loss["first"] == name
    assert loss["second"].get_config()["from_logits"] is True
    changed.fit(np.ones((4, 4)), {"first": np.ones(4), "second": np.ones(4)}, verbose=0)


@pytest.mark.parametrize("dtype", ["bfloat16", "float16", "float64"])
def test_outputs_of_any_precision_are_compared_by_value(dtype):
    model = randomize_weights(keras.Sequential([keras.Input((4,)), layers.Dense(3, name="head", dtype=dtype)]))
    nudged = rebuild(read_graph(model)).model
    nudged.get_layer("head").bias.assign_add(keras.ops.full((3,), 0.125))
    assert 0 < relative_difference(model, nudged, sample_inputs(model)) < np.inf


def test_outputs_that_are_words_are_compared():
    def looked_up(words):
        return keras.Sequential([keras.Input((2,), dtype="int64"), layers.IntegerLookup(vocabulary=[0, 1]), words])

    first, second = (looked_up(layers.StringLookup(vocabulary=words, invert=True)) for words in (["a"], ["b"]))
    inputs = np.array([[0, 1], [1, 0]])
    assert relative_difference(first, first, inputs) == 0.0
    assert relative_difference(first, second, inputs) == np.inf


@pytest.mark.parametrize("kept", [0, 1])
def test_a_removed_sum_leaves_the_input_that_is_kept(kept):
    x = keras.Input((4,), name="x")
    pair = [layers.Dense(3, name="first")(x), layers.Dense(3, name="second")(x)]
    model = keras.Model(x, layers.ReLU()(layers.Add(name="sum")(pair)))
    rebuilt = rebuild(read_graph(model), [Remove("sum", kept=kept)]).model
    expected = keras.Model(x, layers.ReLU()(pair[kept]))
    assert len(rebuilt.weights) == 2
    assert relative_difference(expected, rebuilt, sample_inputs(model)) == 0.0
