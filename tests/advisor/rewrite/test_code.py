"""Models that are Python code: what their configuration holds is rewritten, the rest told by hand."""

import keras
import numpy as np
import pytest
from keras import layers

from advisor import advise
from advisor.facts import register_layer_kind
from advisor.graph import Configure, InsertAfter, LayerSpec, Remove, Wrap, read_graph
from advisor.graph.forward import forward
from advisor.graph.sampling import sample_inputs
from advisor.rewrite import RewriteError, relative_difference
from advisor.rewrite.rebuild import rebuild
from advisor.testing import check_laws, randomize_weights
from keras_normpack.layers import WeightNormalization


def encoder(name="encoder"):
    stack = [layers.Dense(4, name="hidden"), layers.BatchNormalization(name="norm"), layers.ReLU(name="bend")]
    return keras.Sequential([keras.Input((6,)), *stack], name=name)


@keras.saving.register_keras_serializable("test_code")
class Siamese(keras.Model):
    """Given its encoder, as its configuration tells; its head it makes itself."""

    def __init__(self, encoder, units=3, **kwargs):
        super().__init__(**kwargs)
        self.encoder = encoder
        self.units = units
        self.mix = layers.Dense(units)
        self.settle = layers.BatchNormalization()
        self.nothing = layers.Dropout(0.0)

    def call(self, inputs, training=None):
        a, b = self.encoder(inputs["a"]), self.encoder(inputs["b"])
        mixed = self.settle(self.mix(keras.ops.abs(a - b)), training=training)
        return self.nothing(mixed, training=training)

    def get_config(self):
        encoder = keras.saving.serialize_keras_object(self.encoder)
        return {**super().get_config(), "encoder": encoder, "units": self.units}

    @classmethod
    def from_config(cls, config):
        return cls(keras.saving.deserialize_keras_object(config.pop("encoder")), **config)


def siamese():
    model = Siamese(encoder(), name="siamese")
    model({"a": np.ones((1, 6)), "b": np.ones((1, 6))})
    return randomize_weights(model)


@keras.saving.register_keras_serializable("test_code")
class Plain(keras.Model):
    """All of it made by its code."""

    def __init__(self, units=4, **kwargs):
        super().__init__(**kwargs)
        self.convs = [layers.Conv2D(units, 3, padding="same") for _ in range(2)]
        self.norms = {"first": layers.BatchNormalization(), "second": layers.BatchNormalization()}
        self.head = layers.Dense(3)

    def call(self, x, training=False):
        for conv, norm in zip(self.convs, self.norms.values(), strict=True):
            x = keras.ops.relu(norm(conv(x), training=training))
        if training:
            self.add_loss(keras.ops.mean(x))
        return self.head(keras.ops.mean(x, axis=(1, 2)))


def plain():
    model = Plain(name="plain")
    model(np.ones((2, 8, 8, 3), "float32"))
    return randomize_weights(model)


@pytest.mark.parametrize("build", [siamese, plain])
def test_laws_hold_on_models_that_are_code(build):
    model = build()
    model.compile("adam", "mse")
    check_laws(model, trained=False, batch_size=64)


def test_what_the_configuration_holds_is_rewritten_and_the_class_is_kept():
    model = siamese()
    rewrite = advise(model, trained=True).rewrite()
    assert [applied.finding.layers for applied in rewrite.applied] == [("encoder/hidden", "encoder/norm")]
    assert type(rewrite.model) is Siamese
    assert not rewrite.model.encoder.get_layer("hidden").use_bias
    assert relative_difference(model, rewrite.model, sample_inputs(model)) <= 1e-5
    assert model.encoder.get_layer("hidden").use_bias


def test_what_the_code_makes_is_told_by_hand_with_its_attribute():
    refusals = [skipped.reason for skipped in advise(siamese(), trained=True).rewrite().skipped]
    assert any("in `Siamese.call` leave out `self.nothing`" in reason for reason in refusals)
    assert any("`self.mix = keras.layers.Dense(units=3, use_bias=False)`" in reason for reason in refusals)
    (first, _) = [finding for finding in advise(plain()).findings if finding.code == "N101"]
    assert "in `Plain.__init__` write `self.convs[0] = keras.layers.Conv2D(filters=4, " in first.refusal


def test_the_rules_that_need_connections_see_those_of_code():
    graph = read_graph(plain())
    assert graph.root.kind == "traced"
    assert graph.consumers("conv2d") == ("batch_normalization",)
    assert graph.nodes["conv2d"].output_shapes == ((None, 8, 8, 4),)
    assert graph.outputs[0].path == "dense"


def test_reading_code_leaves_no_trace_in_the_model():
    model = plain()
    before = {id(layer): dict(vars(layer)) for layer in model._flatten_layers()}
    names = keras.layers.Dense(1).name
    read_graph(model)
    assert all(vars(layer) == before[id(layer)] for layer in model._flatten_layers())
    assert not any(layer._inbound_nodes or layer._outbound_nodes for layer in model._flatten_layers())
    assert keras.layers.Dense(1).name == f"dense_{int(names.rpartition('_')[2]) + 1}"
    assert model.losses == []


def test_a_copy_of_code_has_its_weights_names_and_frozen_parts():
    model = plain()
    model.convs[0].trainable = False
    copy = rebuild(read_graph(model)).model
    assert type(copy) is Plain
    assert relative_difference(model, copy, sample_inputs(model)) == 0.0
    assert [layer.name for layer in copy.layers] == [layer.name for layer in model.layers]
    assert [layer.trainable for layer in copy.layers] == [layer.trainable for layer in model.layers]


def test_what_flows_in_code_is_measured():
    images = np.random.default_rng(0).normal(size=(64, 8, 8, 3)).astype("float32")
    model = plain()
    advice = advise(model, batch_size=2, data=(images, np.zeros((64, 3), "float32")))
    assert not advice.failures
    measured = forward(read_graph(model), images[:4], ["batch_normalization"])["batch_normalization"]
    assert measured[0].shape == (4, 8, 8, 4)


def test_code_that_runs_with_one_batch_size_only_is_read_with_that():
    class Fixed(keras.Model):
        def __init__(self):
            super().__init__(name="fixed")
            self.dense = layers.Dense(3, name="dense")

        def call(self, x):
            return self.dense(keras.ops.reshape(x, (x.shape[0] * 2, 2)))

    model = Fixed()
    model(np.ones((2, 4), "float32"))
    graph = read_graph(model)
    assert graph.root.kind == "traced"
    assert graph.nodes["dense"].output_shapes == ((4, 3),)


def test_a_block_of_a_registered_kind_is_one_layer():
    class Mixing(Residual):
        pass

    inputs = keras.Input((6,))
    block = Mixing(layers.Dense(6, name="inner"), name="block")
    model = keras.Model(inputs, layers.Dense(2, name="out")(block(inputs)))
    assert read_graph(model).producers("out") == ("block/add",)
    register_layer_kind(Mixing, "dense")
    assert read_graph(model).producers("out") == ("block",)


@keras.saving.register_keras_serializable("test_code")
class Residual(layers.Layer):
    """A block around a layer it is given."""

    def __init__(self, inner, **kwargs):
        super().__init__(**kwargs)
        self.inner = inner

    def call(self, x):
        return x + self.inner(x)

    def get_config(self):
        return {**super().get_config(), "inner": keras.saving.serialize_keras_object(self.inner)}

    @classmethod
    def from_config(cls, config):
        return cls(keras.saving.deserialize_keras_object(config.pop("inner")), **config)


def residual():
    inner = layers.Dense(6, name="inner", activation="relu")
    return keras.Sequential([keras.Input((6,)), Residual(inner, name="block"), layers.Dense(2, name="out")])


@pytest.mark.parametrize(
    ("edit", "expected"),
    [
        (Configure("block/inner", {"use_bias": False}), layers.Dense),
        (Wrap("block/inner", WeightNormalization), WeightNormalization),
        (Remove("block/inner"), layers.Identity),
    ],
)
def test_a_layer_that_a_block_was_given_can_be_changed(edit, expected, tmp_path):
    model = residual()
    rebuilt = rebuild(read_graph(model), [edit])
    assert type(rebuilt.model.get_layer("block").inner) is expected
    assert {origin.origin for path, origin in rebuilt.weight_map.items() if "out" in path} == {"kept"}
    rebuilt.model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert relative_difference(rebuilt.model, loaded, sample_inputs(model)) <= 1e-6


def test_nothing_is_put_around_a_layer_that_code_calls():
    edit = InsertAfter("block/inner", (LayerSpec(layers.ReLU),))
    with pytest.raises(RewriteError, match="put before or after `block/inner`"):
        rebuild(read_graph(residual()), [edit])


def test_a_model_inside_a_wrapper_is_rewritten():
    model = keras.Sequential([keras.Input((5, 6)), layers.TimeDistributed(encoder(), name="each"), layers.Flatten()])
    rewrite = check_laws(randomize_weights(model), trained=True)
    assert [applied.finding.layers for applied in rewrite.applied] == [("each/encoder/hidden", "each/encoder/norm")]


@keras.saving.register_keras_serializable("test_code")
class Backbone(keras.Model):
    """A functional model with a constructor of its own."""

    def __init__(self, units=4, **kwargs):
        x = keras.Input((6,))
        y = layers.BatchNormalization(name="norm")(layers.Dense(units, name="hidden")(x))
        super().__init__(x, layers.ReLU(name="bend")(y), **kwargs)
        self.units = units

    def get_config(self):
        return {"name": self.name, "units": self.units}


@keras.saving.register_keras_serializable("test_code")
class Trainer(Backbone):
    """One that trains in its own way."""

    def train_step(self, data):
        return super().train_step(data)


def around(backbone):
    x = keras.Input((6,))
    return randomize_weights(keras.Model(x, layers.Dense(2, name="out")(backbone(x))))


def test_a_class_that_only_puts_layers_together_is_given_up_where_they_change():
    rewrite = check_laws(around(Backbone(name="backbone")), trained=True)
    assert len(rewrite.applied) == 1
    assert type(rewrite.model.get_layer("backbone")).__name__ == "Functional"
    assert rewrite.notes == (
        "`backbone` is a plain keras.Model now: its class Backbone makes its own layers and cannot take changed ones.",
    )


def test_a_class_whose_layers_do_not_change_is_kept():
    rewrite = advise(around(Backbone(name="backbone")), select="D203").rewrite()
    assert type(rewrite.model.get_layer("backbone")) is Backbone
    assert rewrite.notes == ()


def test_a_class_that_trains_in_its_own_way_is_never_given_up():
    rewrite = check_laws(around(Trainer(name="backbone")), trained=True)
    assert rewrite.applied == ()
    assert "its own `train_step` would be lost" in rewrite.skipped[0].reason


def test_a_model_of_such_a_class_is_copied_with_it_and_says_how_to_go_on():
    backbone = randomize_weights(Backbone(name="backbone"))
    rewrite = check_laws(backbone, trained=True)
    assert type(rewrite.model) is Backbone
    assert "`keras.Model(model.inputs, model.outputs)`" in rewrite.skipped[0].reason
    assert advise(keras.Model(backbone.inputs, backbone.outputs), trained=True).rewrite().applied
