"""`StochasticDepth` computes what `tfa.layers.StochasticDepth` computed."""

import keras
import numpy as np
import pytest
from keras import ops

from keras_normpack import StochasticDepth
from keras_normpack.testing import check_layer


def test_conforms():
    check_layer(
        StochasticDepth,
        {"survival_probability": 0.3, "seed": 0},
        [(3, 4, 2), (3, 4, 2)],
        dynamic_axes=(1,),
        expected=lambda inputs, weights: inputs[0] + 0.3 * inputs[1],
    )


def test_one_draw_decides_for_the_whole_batch():
    probability, steps = 0.3, 600
    generator = np.random.default_rng(0)
    shortcut, residual = generator.normal(size=(2, 4, 3)).astype("float32")
    layer = StochasticDepth(probability, seed=0)
    survived = 0
    for _ in range(steps):
        outputs = ops.convert_to_numpy(layer([shortcut, residual], training=True))
        kept = not np.array_equal(outputs, shortcut)
        np.testing.assert_array_equal(outputs, shortcut + residual if kept else shortcut)
        survived += kept
    assert abs(survived / steps - probability) < 5 * np.sqrt(probability * (1 - probability) / steps)


def test_default_is_one_half_as_in_tfa():
    assert StochasticDepth().get_config()["survival_probability"] == 0.5


def test_a_dropped_residual_need_not_be_finite():
    outputs = StochasticDepth(0.0)([np.ones((2, 3)), np.full((2, 3), np.nan)], training=True)
    np.testing.assert_array_equal(ops.convert_to_numpy(outputs), np.ones((2, 3)))


def test_a_residual_of_size_one_is_broadcast():
    outputs = StochasticDepth(0.5)([np.ones((2, 3, 4)), np.ones((2, 1, 4))])
    np.testing.assert_allclose(ops.convert_to_numpy(outputs), np.full((2, 3, 4), 1.5))


def test_the_mask_is_that_of_add():
    shortcut, residual = np.array([[1.0], [0.0], [0.0]]), np.array([[1.0], [1.0], [0.0]])
    masking = keras.layers.Masking()
    masked = [masking(ops.convert_to_tensor(tensor[None], "float32")) for tensor in (shortcut, residual)]
    layer = StochasticDepth()
    ours = layer.compute_mask(masked, [masking.compute_mask(tensor) for tensor in masked])
    np.testing.assert_array_equal(ops.convert_to_numpy(ours), [[True, True, False]])
    assert layer.compute_mask(masked, [masking.compute_mask(masked[0]), None]) is None
    assert layer.compute_mask(masked) is None


@pytest.mark.parametrize("probability", [-0.1, 1.5, float("nan")])
def test_probabilities_outside_the_range_raise(probability):
    with pytest.raises(ValueError, match=r"`survival_probability` of StochasticDepth .*Received: survival_prob"):
        StochasticDepth(probability)


@pytest.mark.parametrize("shapes", [(2, 3), [(2, 3)], [(2, 3), (2, 3), (2, 3)]])
def test_anything_but_two_inputs_raises(shapes):
    inputs = [np.ones(shape) for shape in shapes] if isinstance(shapes, list) else np.ones(shapes)
    with pytest.raises(ValueError, match=r"list of two tensors, \[shortcut, residual\]. Received: input_shape="):
        StochasticDepth()(inputs)


def test_shapes_that_cannot_be_added_raise():
    with pytest.raises(ValueError, match=r"Received: shortcut \(2, 3\), residual \(2, 4\)"):
        StochasticDepth()([np.ones((2, 3)), np.ones((2, 4))])
