"""The drop-ins refuse numbers that Keras's own layers take and then compute NaN with."""

import pytest

from keras_normpack import BatchNormalization, GroupNormalization, LayerNormalization, RMSNormalization


@pytest.mark.parametrize("layer_class", [BatchNormalization, GroupNormalization, LayerNormalization, RMSNormalization])
@pytest.mark.parametrize("epsilon", [-1e-3, float("nan"), "small", True])
def test_epsilon_is_a_number_from_zero(layer_class, epsilon):
    with pytest.raises(
        ValueError, match=rf"`epsilon` of {layer_class.__name__} must be a number from 0. Received: eps"
    ):
        layer_class(epsilon=epsilon)
    assert layer_class(epsilon=0).epsilon == 0


@pytest.mark.parametrize("name", ["momentum", "renorm_momentum"])
@pytest.mark.parametrize("value", [-0.1, 1.5, 99])
def test_a_momentum_is_between_zero_and_one(name, value):
    with pytest.raises(
        ValueError, match=rf"`{name}` of BatchNormalization must be a number in \[0, 1\]. Received: {name}"
    ):
        BatchNormalization(**{name: value})
    for bound in (0, 1):
        assert getattr(BatchNormalization(**{name: bound}), name) == bound
