import keras
import numpy as np
from keras import layers

from advisor.export.convert import convert
from advisor.export.signature import read_signature
from advisor.litert.interpreter import LiteRTModel
from advisor.litert.latency import interleaved_seconds, median_milliseconds, median_ratio


def exported(width):
    model = keras.Sequential([keras.Input((64,)), layers.Dense(width, "relu"), layers.Dense(width), layers.Dense(1)])
    return LiteRTModel(convert(model, read_signature(model, None, 1), ("y",)))


def test_the_larger_model_is_the_slower_one():
    models = {"large": exported(1024), "small": exported(64)}
    seconds = interleaved_seconds(models, {"input": np.ones((1, 64), "float32")}, budget_seconds=0.2)
    assert len(seconds["large"]) == len(seconds["small"]) >= 11
    assert median_milliseconds(seconds["large"]) > 3 * median_milliseconds(seconds["small"])
    assert median_ratio(seconds["large"], seconds["small"]) > 3


def test_the_ratio_is_that_of_runs_side_by_side():
    # A busy moment that doubles both does not move it.
    assert median_ratio([2.0, 4.0, 2.0], [1.0, 2.0, 1.0]) == 2.0
    assert median_milliseconds([0.001, 0.1, 0.002]) == 2.0
