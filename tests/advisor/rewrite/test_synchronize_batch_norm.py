"""The recipe `synchronize_batch_norm`; what it computes on two replicas stands in `tests/advisor/test_replicas.py`."""

import keras
import pytest
from keras import layers

import keras_normpack
from advisor.graph.sampling import sample_inputs
from advisor.rewrite import relative_difference, synchronize_batch_norm
from advisor.testing import randomize_weights


def _model():
    inner = [
        layers.Dense(4),
        layers.BatchNormalization(name="first"),
        keras_normpack.BatchNormalization(name="ghost", virtual_batch_size=4),
        layers.BatchNormalization(name="renormalized", renorm=True),
    ]
    return randomize_weights(keras.Sequential([keras.Input((3,)), *inner]))


def _synchronized(model):
    return [layer.name for layer in model.layers if getattr(layer, "synchronized", False)]


def test_all_but_ghost_batches_are_synchronized_and_infer_as_before():
    model = _model()
    new = synchronize_batch_norm(model)
    assert _synchronized(new) == ["first", "renormalized"]
    assert not _synchronized(model)
    assert relative_difference(model, new, sample_inputs(model)) == 0.0


def test_only_those_named_are_synchronized():
    assert _synchronized(synchronize_batch_norm(_model(), layers="first")) == ["first"]


@pytest.mark.parametrize("name", ["dense", "ghost"])
def test_what_cannot_be_synchronized_is_refused(name):
    model = _model()
    name = model.layers[0].name if name == "dense" else name
    with pytest.raises(ValueError, match=f"without `virtual_batch_size`. Received: `{name}`"):
        synchronize_batch_norm(model, layers=name)


def test_other_backends_are_refused(monkeypatch):
    model = _model()
    monkeypatch.setattr(keras.backend, "backend", lambda: "jax")
    with pytest.raises(ValueError, match="Received: backend 'jax'"):
        synchronize_batch_norm(model)
