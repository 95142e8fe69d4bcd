"""What single layers cost in LiteRT."""

import keras
import numpy as np
import pytest
from keras import layers

from advisor.facts.probes import make_mobile_probes
from advisor.graph import read_graph


def probes_of(model, **arguments):
    return make_mobile_probes(read_graph(model), **arguments)


def net(*steps, shape=(16, 16, 32)):
    return keras.Sequential([keras.Input(shape), *steps])


def test_a_layer_costs_more_on_a_larger_map():
    probes = probes_of(
        net(
            layers.GroupNormalization(4, name="large"),
            layers.MaxPooling2D(4),
            layers.GroupNormalization(4, name="small"),
            shape=(64, 64, 32),
        )
    )
    large, small = (probes["litert_milliseconds"](path) for path in ("large", "small"))
    assert large.unit == "ms"
    assert large.value > 2 * small.value > 0
    operators = [probes["litert_operators"](path).value for path in ("large", "small")]
    assert operators[0] == operators[1] >= 8


def test_the_form_of_the_export_costs_less():
    probes = probes_of(net(layers.GroupNormalization(-1, name="norm"), shape=(32, 32, 32)))
    assert probes["litert_milliseconds_lowered"]("norm").value < 0.8 * probes["litert_milliseconds"]("norm").value


def test_a_mixed_policy_is_measured_in_float32():
    model = net(layers.LayerNormalization(name="norm", dtype="mixed_float16"))
    single = net(layers.LayerNormalization(name="norm"))
    assert probes_of(model)["litert_operators"]("norm").value == probes_of(single)["litert_operators"]("norm").value


def test_the_model_stays_as_it_is():
    model = net(layers.GroupNormalization(4, name="norm"))
    model.layers[0].gamma.assign(np.arange(32))
    probes_of(model)["litert_milliseconds"]("norm")
    np.testing.assert_array_equal(model.layers[0].gamma, np.arange(32))
    assert "call" not in vars(model.layers[0])


@pytest.mark.parametrize("shape", [(None, None, 32), (None, 32, 32)])
def test_open_shapes_have_no_figure(shape):
    assert probes_of(net(layers.GroupNormalization(4, name="norm"), shape=shape))["litert_milliseconds"]("norm") is None


def test_no_time_no_figure():
    model = net(layers.GroupNormalization(4, name="norm"))
    assert probes_of(model, probe_seconds=0)["litert_milliseconds"]("norm") is None


def test_a_layer_that_cannot_be_made_anew_has_no_figure_and_others_have():
    class Closed(layers.LayerNormalization):
        def __init__(self, secret, **arguments):
            super().__init__(**arguments)
            self.secret = secret

    failures = []
    probes = probes_of(net(Closed(1, name="closed"), layers.LayerNormalization(name="open")), failed=failures.append)
    assert probes["litert_milliseconds"]("closed") is None
    assert probes["litert_milliseconds"]("open").value > 0
    assert failures == []
