import keras
import numpy as np
import pytest

from benchmarks.claims import c10_training_and_inference as c10
from benchmarks.claims.claim import Verdict
from benchmarks.claims.several_momenta import SeveralMomenta, use_momentum


def runs(changed):
    """Three seeds, at two steps; `changed(position, momentum)` percent of the images get another class."""
    return [
        [
            {
                "training": {"loss": 0.3, "accuracy": 90.0},
                "inference": {
                    str(momentum): {
                        "loss": 0.4,
                        "accuracy": 85.0,
                        "changed": changed(position, momentum) * (1 + 0.01 * seed),
                    }
                    for momentum in c10.MOMENTA
                },
            }
            for position in range(3)
        ]
        for seed in range(3)
    ]


def figures(layer_norm, by_size, by_position, by_momentum):
    def batch_norm(size):
        def changed(position, momentum):
            return by_size[size] + by_position[position] + by_momentum[momentum]

        return runs(changed)

    return {
        "steps": [10, 30, 1000],
        "compared": {
            "BN": {str(size): batch_norm(size) for size in by_size},
            "LN": {str(size): runs(lambda position, momentum: layer_norm) for size in (c10.LARGEST, c10.SMALLEST)},
        },
    }


GROWING = ({c10.LARGEST: 5.0, c10.SMALLEST: 20.0}, [50.0, 40.0, 0.0], {0.9: 0.0, 0.99: 1.0, 0.999: 30.0})
SHRINKING = ({c10.LARGEST: 20.0, c10.SMALLEST: 5.0}, [0.0, 10.0, 40.0], {0.9: 30.0, 0.99: 1.0, 0.999: 0.0})
NONE = ({c10.LARGEST: 0.0, c10.SMALLEST: 0.0}, [0.0, 0.0, 0.0], dict.fromkeys(c10.MOMENTA, 0.0))


def test_the_verdict_follows_the_differences():
    assert c10.judge(figures(0.0, *GROWING)).verdict is Verdict.HOLDS
    assert c10.judge(figures(9.0, *NONE)).verdict is Verdict.FAILS


def test_the_condition_leaves_out_what_does_not_hold():
    assert c10.judge(figures(0.0, *SHRINKING)).when == (
        "it says no more than that LN computes the same and BN does not"
    )
    assert "LN computes the same" not in c10.judge(figures(9.0, *GROWING)).when


def test_averages_of_several_momenta_are_those_of_as_many_layers():
    x = np.random.default_rng(0).normal(2.0, 3.0, (4, 8, 5)).astype("float32")
    several = SeveralMomenta(c10.MOMENTA)
    model = keras.Sequential([keras.Input((5,)), several])
    alone = {momentum: keras.layers.BatchNormalization(momentum=momentum) for momentum in c10.MOMENTA}
    for batch in x:
        for layer in (several, *alone.values()):
            layer(batch, training=True)
    for momentum, layer in alone.items():
        use_momentum(model, momentum)
        np.testing.assert_allclose(several(x[0]), layer(x[0]), rtol=1e-5, atol=1e-5)


def test_a_momentum_that_was_not_kept_raises():
    with pytest.raises(ValueError, match="not in tuple"):
        SeveralMomenta((0.9,)).use(0.5)
