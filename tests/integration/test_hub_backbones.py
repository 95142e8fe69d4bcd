"""KerasHub: functional models with constructors of their own, blocks that are Python code, tasks around backbones."""

import importlib

import keras
import pytest

from advisor import advise
from advisor.testing import check_laws, randomize_weights

pytest.importorskip("keras_hub", reason="needs the package keras-hub")
BACKBONES = importlib.import_module("tests.integration.hub_backbones").BACKBONES
QUICK = ("BERT", "VGG", "DenseNet")
# Networks that Keras cannot save and load without their class, rewritten or not.
NOT_WITHOUT_CLASS = ("DeBERTaV3", "Llama", "MiT", "SegFormer", "ViT")


@pytest.mark.parametrize("name", QUICK)
def test_laws(name):
    check_laws(randomize_weights(BACKBONES[name]()), trained=False, batch_size=64)


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in BACKBONES if name not in QUICK])
def test_laws_on_the_rest(name):
    check_laws(randomize_weights(BACKBONES[name]()), trained=False, batch_size=64)


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in BACKBONES if name not in NOT_WITHOUT_CLASS])
def test_laws_on_the_network_without_its_class(name):
    backbone = randomize_weights(BACKBONES[name]())
    check_laws(keras.Model(backbone.input, backbone.output), trained=False, batch_size=64)


def test_a_backbone_inside_another_model_is_rewritten_and_loses_its_class():
    inputs = keras.Input((32, 32, 3))
    x = keras.layers.GlobalAveragePooling2D()(BACKBONES["VGG"]()(inputs))
    model = keras.Model(inputs, keras.layers.Dense(3)(x))
    rewrite = advise(model, batch_size=64).rewrite()
    inside = [applied for applied in rewrite.applied if applied.finding.layer.startswith("vgg_backbone/")]
    assert bool(inside) is bool(rewrite.notes)
    assert inside
