import keras
import numpy as np
import pytest

from benchmarks.claims import c15_dropout_expectation as c15
from benchmarks.claims.claim import Verdict


def figures(linear=100.0, behind=100.0):
    """Percent of the expectation that is kept right behind dropout, and behind what is not linear."""
    kept = {
        place: [(linear if place == c15.LINEAR else behind) + 0.1 * seed for seed in (-1, 0, 1)] for place in c15.PLACES
    }
    found = {"kept": kept, "accuracy": [90.0, 91.0, 92.0]}
    return {form: {str(rate): found for rate in c15.RATES} for form in c15.FORMS}


def test_the_verdict_follows_what_is_kept():
    assert c15.judge(figures()).verdict is Verdict.HOLDS
    assert c15.judge(figures(linear=50.0)).verdict is Verdict.FAILS
    assert c15.judge(figures(linear=101.0)).verdict is Verdict.UNDECIDED
    assert str(c15.judge(figures(behind=80.0))) == "holds when it is about a dense layer right behind dropout"


@pytest.mark.parametrize("rate", [0.25, 0.75])
def test_both_forms_differ_by_a_factor_in_training_and_at_inference(rate):
    """The classic form leaves what is not dropped as it is, and takes 1 - rate of everything at inference."""
    ones = np.ones((4, 64), dtype="float32")
    for form, kept, whole in ((c15.IN_TRAINING, 1 / (1 - rate), 1.0), (c15.AT_INFERENCE, 1.0, 1 - rate)):
        network = c15.network(form, rate, trained=True)
        layer = network.get_layer(c15.LINEAR)
        dropped = keras.Model(network.input, layer.input)
        network.layers[1].kernel.assign(np.eye(64))
        assert set(np.asarray(dropped(ones, training=True)).ravel()) == {0.0, np.float32(kept)}
        np.testing.assert_allclose(dropped(ones, training=False), whole)


def test_what_scales_nowhere_is_the_classic_form_in_training_only():
    assert sum(isinstance(layer, keras.layers.Rescaling) for layer in c15.network(c15.NOWHERE, 0.5, True).layers) == 2
    assert not any(isinstance(layer, keras.layers.Rescaling) for layer in c15.network(c15.NOWHERE, 0.5, False).layers)
