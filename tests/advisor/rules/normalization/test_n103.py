"""What N103 says beyond its cases, and how it shares its field with N102."""

import keras
import numpy as np
import pytest
from keras import layers, ops

import keras_normpack
from advisor import advise
from advisor.testing import randomize_weights

SPLIT = {"batch_size": 32, "replicas": 8, "trained": False}


def _model(norm=None):
    # The convolution is linear, so that its maps vary as the images do.
    inner = [layers.Conv2D(8, 1, use_bias=False), norm or layers.BatchNormalization(name="norm")]
    return keras.Sequential([keras.Input((8, 8, 3)), *inner, layers.GlobalMaxPooling2D(), layers.Dense(2)])


def _flat(samples):
    """Images without detail, each worth one value per channel."""
    return np.broadcast_to(np.random.default_rng(0).normal(size=(samples, 1, 1, 3)), (samples, 8, 8, 3)).copy()


@pytest.mark.parametrize(("batch_size", "replicas"), [(2, 1), (4, 2), (8, 1), (8, 2), (16, 8), (64, 8), (4, 8)])
@pytest.mark.parametrize("data", [None, "flat", "detailed"])
def test_one_of_the_two_rules_speaks_at_most(batch_size, replicas, data):
    given = {} if data is None else {"data": _flat(128)}
    if data == "detailed":
        given = {"data": np.random.default_rng(0).normal(size=(128, 8, 8, 3))}
    findings = advise(_model(), select=["N102", "N103"], batch_size=batch_size, replicas=replicas, **given).findings
    assert len(findings) <= 1


@pytest.mark.parametrize(
    ("batch_size", "replicas", "expected"),
    [(128, 1, []), (128, 8, ["N103"]), (16, 1, ["N102"]), (16, 8, ["N102"])],
)
def test_the_data_decides_at_the_batch_of_a_replica_and_at_the_whole_one(batch_size, replicas, expected):
    advice = advise(_model(), select=["N102", "N103"], batch_size=batch_size, replicas=replicas, data=_flat(256))
    assert [finding.code for finding in advice.findings] == expected
    for finding in advice.findings:
        assert finding.measurements[0].value == pytest.approx(batch_size / replicas, rel=0.3)


def test_detailed_images_are_worth_enough_on_every_replica():
    images = np.random.default_rng(0).normal(size=(64, 8, 8, 3))
    (finding,) = advise(_model(), select="N103", data=images, **SPLIT).findings
    assert finding.severity == "info"
    assert finding.fix is None


def test_all_values_are_kept_where_a_mask_asks_for_another_class():
    steps = [
        keras.Input((6, 3)),
        layers.Masking(),
        layers.Dense(8),
        layers.BatchNormalization(name="norm", epsilon=1e-4),
    ]
    model = randomize_weights(keras.Sequential([*steps, layers.GlobalAveragePooling1D(), layers.Dense(2)]))
    new = advise(model, select="N103", **SPLIT).apply().get_layer("norm")
    assert type(new) is keras_normpack.BatchNormalization
    assert (new.synchronized, new.epsilon) == (True, 1e-4)
    for ours, theirs in zip(new.weights, model.get_layer("norm").weights, strict=True):
        np.testing.assert_array_equal(ops.convert_to_numpy(ours), ops.convert_to_numpy(theirs))


def test_other_backends_get_a_normalization_without_the_batch(monkeypatch):
    advice = advise(_model(), select="N103", **SPLIT)
    monkeypatch.setattr(keras.backend, "backend", lambda: "jax")
    (finding,) = next(iter(advice._look.rules)).check(advice.examination.facts)
    assert "GroupNormalization" in finding.fix.title
    assert "only TensorFlow" in finding.fix.title


def test_one_sample_on_a_replica_is_the_business_of_another_rule():
    vectors = keras.Sequential([keras.Input((6,)), layers.Dense(8), layers.BatchNormalization(), layers.Dense(2)])
    advice = advise(vectors, select=["N102", "N103", "N104"], batch_size=64, replicas=64)
    assert [finding.code for finding in advice.findings] == ["N104"]
