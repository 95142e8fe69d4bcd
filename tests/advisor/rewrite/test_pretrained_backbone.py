"""Pretrained networks under the head of a model; random weights and small networks stand in for them."""

import inspect
import sys
import types
import warnings

import keras
import numpy as np
import pytest
from keras import layers

from advisor.graph.sampling import sample_inputs
from advisor.rewrite import RewriteError, pretrained_backbone, relative_difference
from advisor.rewrite.recipes.backbones import SCALES, application_names, scaling_layers, working_size
from advisor.testing import randomize_weights


def _own(side=32, channels=3, *, stack=None):
    stack = stack or [layers.Conv2D(4, 3), layers.Flatten()]
    head = [layers.Dense(6, activation="relu", name="hidden"), layers.Dense(5, activation="softmax", name="head")]
    return keras.Sequential([keras.Input((side, side, channels)), *stack, *head], name="own")


def _small_backbone(side=16, name="small"):
    stack = [layers.Conv2D(4, 3, name="conv"), layers.BatchNormalization(name="norm"), layers.ReLU()]
    return keras.Sequential([keras.Input((side, side, 3)), *stack], name=name)


def _token_backbone():
    ids, mask = keras.Input((None,), dtype="int32", name="token_ids"), keras.Input((None,), name="padding_mask")
    tokens = layers.Embedding(20, 6)(ids) * keras.ops.expand_dims(mask, -1)
    outputs = {"sequence_output": tokens, "pooled_output": layers.GlobalAveragePooling1D()(tokens)}
    return keras.Model({"token_ids": ids, "padding_mask": mask}, outputs, name="tokens")


@pytest.mark.parametrize("scale", SCALES)
def test_scales_are_those_of_keras(scale):
    images = np.random.default_rng(0).uniform(0, 255, (2, 4, 4, 3)).astype("float32")
    expected = keras.applications.imagenet_utils.preprocess_input(images.copy(), mode=scale)
    actual = images[..., ::-1] if scale == "caffe" else images
    for layer in scaling_layers(scale):
        actual = layer(actual)
    np.testing.assert_allclose(keras.ops.convert_to_numpy(actual), expected, atol=1e-4)


@pytest.mark.parametrize(
    "name", ["MobileNetV2", "MobileNetV3Small", "DenseNet121", "EfficientNetB0", "VGG16", "ResNet50", "ResNet50V2"]
)
def test_networks_of_keras_see_what_their_own_preprocessing_makes(name, monkeypatch):
    modules = {
        "MobileNetV2": keras.applications.mobilenet_v2,
        "MobileNetV3Small": keras.applications.mobilenet_v3,
        "DenseNet121": keras.applications.densenet,
        "EfficientNetB0": keras.applications.efficientnet,
        "VGG16": keras.applications.vgg16,
        "ResNet50": keras.applications.resnet,
        "ResNet50V2": keras.applications.resnet_v2,
    }

    def stand_in(include_top, weights, input_shape):
        # What the backbone sees comes out as it is.
        inputs = keras.Input(input_shape)
        return keras.Model(inputs, layers.Identity()(inputs), name="stand_in")

    stand_in.__signature__ = inspect.signature(getattr(keras.applications, name))
    monkeypatch.setattr(keras.applications, name, stand_in)
    model = pretrained_backbone("regression", name, weights=None, input_shape=(96, 96, 3), outputs=1)
    seen = keras.Model(model.input, model.get_layer("pool").input)
    images = np.random.default_rng(0).uniform(0, 255, (2, 96, 96, 3)).astype("float32")
    expected = modules[name].preprocess_input(images.copy())
    np.testing.assert_allclose(seen.predict(images, verbose=0), expected, atol=1e-4)


def test_grey_small_images_become_large_and_coloured():
    model = pretrained_backbone(_own(side=28, channels=1), "MobileNetV2", weights=None)
    assert model.input_shape == (None, 28, 28, 1)
    assert [layer.name for layer in model.layers[1:4]] == ["grey_to_rgb", "resize", "scale"]
    assert model.get_layer("mobilenetv2_1.00_96").input_shape == (None, 96, 96, 3)


def test_images_from_0_to_1_are_brought_to_255():
    images = np.random.default_rng(0).uniform(0, 255, (2, 16, 16, 3)).astype("float32")
    backbone = _small_backbone()
    whole = pretrained_backbone(_own(16), backbone, preprocess="tf")
    unit = pretrained_backbone(_own(16), _copy(backbone), preprocess="tf", input_range=(0.0, 1.0))
    unit.set_weights(whole.get_weights())
    np.testing.assert_allclose(
        unit.predict(images / 255, verbose=0), whole.predict(images, verbose=0), rtol=1e-4, atol=1e-6
    )


def test_only_the_head_is_trained_at_first():
    model = pretrained_backbone(_own(16), _small_backbone())
    assert {v.path.split("/")[0] for v in model.trainable_variables} == {"hidden", "head"}
    backbone = model.get_layer("small")
    x = np.random.default_rng(0).normal(size=(4, 16, 16, 3)).astype("float32")
    np.testing.assert_array_equal(backbone(x, training=True), backbone(x, training=False))


def test_the_head_keeps_what_fits_and_says_what_does_not():
    own = randomize_weights(_own(16, stack=[layers.Conv2D(9, 3), layers.GlobalAveragePooling2D()]))
    with pytest.warns(UserWarning, match="begin anew: hidden"):
        model = pretrained_backbone(own, _small_backbone())
    np.testing.assert_array_equal(model.get_layer("head").kernel.value, own.get_layer("head").kernel.value)
    assert model.get_layer("hidden").kernel.shape == (4, 6)


def test_a_head_that_fits_is_kept_whole_and_silently():
    own = randomize_weights(_own(16, stack=[layers.Conv2D(4, 3), layers.GlobalAveragePooling2D()]))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model = pretrained_backbone(own, _small_backbone())
    for name in ("hidden", "head"):
        np.testing.assert_array_equal(model.get_layer(name).kernel.value, own.get_layer(name).kernel.value)


def test_it_is_compiled_like_the_given_model_which_stays_as_it_is():
    own = _own(16)
    own.compile(keras.optimizers.SGD(0.03), "sparse_categorical_crossentropy", metrics=["accuracy"])
    weights = own.get_weights()
    model = pretrained_backbone(own, _small_backbone())
    assert float(model.optimizer.learning_rate) == pytest.approx(0.03)
    assert model.optimizer is not own.optimizer
    model.fit(np.zeros((4, 16, 16, 3)), np.zeros(4), verbose=0)
    assert all(np.array_equal(a, b) for a, b in zip(weights, own.get_weights(), strict=True))


def test_it_saves_and_loads_safely(tmp_path):
    model = randomize_weights(pretrained_backbone(_own(12, channels=1), _small_backbone(), preprocess="caffe"))
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras", safe_mode=True)
    assert relative_difference(model, loaded, sample_inputs(model)) == 0.0


def test_weights_come_from_a_file(tmp_path):
    trained = randomize_weights(_small_backbone())
    trained.save_weights(tmp_path / "small.weights.h5")
    model = pretrained_backbone(_own(16), _small_backbone(), weights=tmp_path / "small.weights.h5")
    np.testing.assert_array_equal(
        model.get_layer("small").get_layer("norm").moving_mean.value, trained.get_layer("norm").moving_mean.value
    )


def test_a_network_of_tokens_brings_its_own_inputs():
    model = pretrained_backbone("classification", _token_backbone(), outputs=3)
    assert set(model.input) == {"token_ids", "padding_mask"}
    y = model.predict({"token_ids": np.ones((2, 5), "int32"), "padding_mask": np.ones((2, 5))}, verbose=0)
    np.testing.assert_allclose(y.sum(axis=-1), 1, rtol=1e-5)


def test_tokens_of_a_vision_transformer_are_averaged():
    inputs = keras.Input((16, 16, 3))
    patches = layers.Reshape((-1, 5))(layers.Conv2D(5, 8, strides=8)(inputs))
    model = pretrained_backbone("regression", keras.Model(inputs, patches, name="vit"), outputs=2)
    assert isinstance(model.get_layer("pool"), layers.GlobalAveragePooling1D)
    assert model.output_shape == (None, 2)


def test_sizes_below_what_a_network_needs_are_raised_without_distortion():
    assert working_size("MobileNetV2", (32, 64)) == (96, 192)
    assert working_size("Xception", (200, 300)) == (200, 300)
    assert working_size("MobileNetV2", (None, None)) == (224, 224)
    assert {"MobileNetV2", "ConvNeXtTiny", "EfficientNetV2B0"} <= set(application_names())


def _copy(backbone):
    return keras.models.clone_model(backbone)


def _two_outputs():
    x = keras.Input((16, 16, 3))
    return keras.Model(x, [layers.Flatten()(x), layers.Flatten()(x)], name="two")


@pytest.mark.parametrize(
    ("call", "error", "match"),
    [
        (lambda: pretrained_backbone(3), TypeError, "`model` must be a keras.Model.*Received: 3"),
        (lambda: pretrained_backbone("ranking", outputs=2), ValueError, "Received: model='ranking'"),
        (lambda: pretrained_backbone("classification"), ValueError, "with `outputs` at least 1"),
        (lambda: pretrained_backbone(_own(), outputs=4), ValueError, "the model has one. Received: outputs=4"),
        (lambda: pretrained_backbone(_own(), 7), TypeError, "`backbone` must be .* Received: 7"),
        (lambda: pretrained_backbone(_own(channels=6), weights=None), ValueError, "1 or 3 channels"),
        (lambda: pretrained_backbone(_own(16), _small_backbone(), preprocess="zero"), ValueError, "preprocess='zero'"),
        (lambda: pretrained_backbone(_two_outputs(), weights=None), RewriteError, "1 inputs and 2 outputs"),
        (
            lambda: pretrained_backbone(keras.Sequential([keras.Input((4,)), layers.Dense(2)]), weights=None),
            RewriteError,
            "has no global pooling or flattening",
        ),
    ],
)
def test_wrong_arguments_are_named(call, error, match):
    with pytest.raises(error, match=match):
        call()


class Hub:
    """Stands in for KerasHub: one preset, `tiny`."""

    def __init__(self, converter):
        self.models = self.layers = self
        self.Backbone = self.ImageConverter = self
        self.loaded, self._converter = [], converter

    def from_preset(self, name, **arguments):
        if arguments:
            self.loaded.append((name, arguments["load_weights"]))
            return _small_backbone(name=name)
        if self._converter is None:
            raise ValueError("no converter")
        return self._converter


def test_presets_bring_their_weights_and_their_scale(monkeypatch):
    hub = Hub(types.SimpleNamespace(scale=[1 / 127.5] * 3, offset=-1.0))
    monkeypatch.setitem(sys.modules, "keras_hub", hub)
    model = pretrained_backbone(_own(16), "tiny")
    assert hub.loaded == [("tiny", True)]
    np.testing.assert_allclose(model.get_layer("scale")(np.full((1, 2, 2, 3), 255.0)), 1.0, rtol=1e-5)
    pretrained_backbone(_own(16), "tiny", weights=None)
    assert hub.loaded[-1] == ("tiny", False)


@pytest.mark.parametrize("converter", [None, types.SimpleNamespace(scale=None, offset=None)])
def test_presets_that_scale_within_are_left_alone(monkeypatch, converter):
    monkeypatch.setitem(sys.modules, "keras_hub", Hub(converter))
    assert "scale" not in [layer.name for layer in pretrained_backbone(_own(16), "tiny").layers]


def test_a_backbone_that_takes_a_dict_gets_one():
    images = keras.Input((16, 16, 3), name="images")
    backbone = keras.Model({"images": images}, layers.Conv2D(4, 3)(images), name="dict")
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        model = pretrained_backbone(_own(16), backbone)
        predicted = model.predict(np.zeros((2, 16, 16, 3)), verbose=0)
    assert predicted.shape == (2, *_own(16).output_shape[1:])


def test_without_kerashub_presets_are_refused(monkeypatch):
    monkeypatch.setitem(sys.modules, "keras_hub", None)
    with pytest.raises(ImportError, match=r"`vit_base` is no network of .*pip install"):
        pretrained_backbone("classification", "vit_base", outputs=2)
