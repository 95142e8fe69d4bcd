import keras
import numpy as np
import pytest
from keras import layers

from advisor.export.errors import ExportError
from advisor.export.precision import check_weights_are_float32, computing_in_float32, mixed_policies


def build(policy):
    return keras.Sequential(
        [
            keras.Input((6, 4)),
            layers.Bidirectional(layers.LSTM(3, dtype=policy), dtype=policy),
            layers.Dense(2, dtype="float32"),
        ]
    )


def test_every_layer_computes_in_float32_and_gets_its_policy_back():
    mixed, single = build("mixed_float16"), build("float32")
    single.set_weights(mixed.get_weights())
    x = np.random.default_rng(0).normal(size=(2, 6, 4)).astype("float32")
    before = mixed(x).numpy()
    assert mixed_policies(mixed) == ("mixed_float16",)
    with computing_in_float32(mixed):
        assert mixed_policies(mixed) == ()
        np.testing.assert_allclose(mixed(x), single(x), rtol=1e-5, atol=1e-6)
    assert mixed_policies(mixed) == ("mixed_float16",)
    np.testing.assert_array_equal(mixed(x), before)
    assert mixed_policies(single) == ()


def test_policies_come_back_after_an_error():
    mixed = build("mixed_bfloat16")
    with pytest.raises(RuntimeError, match="broken"), computing_in_float32(mixed):
        raise RuntimeError("broken")
    assert mixed_policies(mixed) == ("mixed_bfloat16",)


@pytest.mark.parametrize("policy", ["float16", "float64"])
def test_weights_of_another_float_are_refused(policy):
    model = keras.Sequential([keras.Input((3,)), layers.Dense(2, dtype=policy, name="head")])
    with pytest.raises(ExportError, match=f"Weight .*head/kernel'.*must be float32.*Received: dtype={policy}"):
        check_weights_are_float32(model)


def test_mixed_weights_are_accepted():
    check_weights_are_float32(build("mixed_float16"))
