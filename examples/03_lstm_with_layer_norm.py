"""An LSTM that forecasts a series, with layer normalization between its layers and inside its steps.

The temperature of the sea in the Gulf of Maine, hour by hour through 2016: a day of readings in, how much it will have
changed six hours later out. `advise` puts layer normalization between the stacked LSTM layers (N108) and clips
gradients (T502); `LayerNormLSTM` normalizes inside each step. You will see the mean error of each, in degrees, beside
that of saying that nothing will change.

    pip install bokeh_sampledata        # brings the readings
    python examples/03_lstm_with_layer_norm.py [--epochs 10] [--seeds 2]
"""

import argparse
import gzip
import os
from importlib.resources import files

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import keras
import numpy as np
from _table import print_means
from keras import layers

from advisor import advise
from keras_normpack import LayerNormLSTM

STEPS, AHEAD, BATCH_SIZE = 24, 6, 32
"""Hours in, hours ahead, samples per step."""
MONTH = 720
PARTS = {"train": (0, 480), "choose": (480, 576), "test": (576, MONTH)}
"""Hours of each month, so that every part sees every season; a window lies within one part."""


def hourly() -> np.ndarray:
    packed = files("bokeh_sampledata").joinpath("_data/sea_surface_temperature.csv.gz").read_bytes()
    rows = gzip.decompress(packed).decode().splitlines()[1:]
    return np.array([float(row.split(",")[1]) for row in rows], "float32")[::2]


def windows(degrees: np.ndarray, part: str) -> tuple[np.ndarray, np.ndarray]:
    """Readings less the last one, and the change to come."""
    first, end = PARTS[part]
    spans = np.lib.stride_tricks.sliding_window_view(degrees, STEPS + AHEAD)
    starts = np.arange(len(spans)) % MONTH
    inside = spans[(starts >= first) & (starts + STEPS + AHEAD <= end)]
    relative = inside - inside[:, STEPS - 1 : STEPS]
    return relative[:, :STEPS, None], relative[:, -1]


def build(recurrent: type[keras.Layer] = layers.LSTM) -> keras.Model:
    model = keras.Sequential(
        [
            keras.Input((STEPS, 1)),
            recurrent(24, return_sequences=True),
            recurrent(24),
            layers.Dense(1),
        ]
    )
    model.compile(keras.optimizers.Adam(0.003), "mae")
    return model


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--seeds", type=int, default=2)
    arguments = parser.parse_args()
    train, choose, test = (windows(hourly(), part) for part in PARTS)
    train = tuple(one[::2] for one in train)
    known = {"batch_size": BATCH_SIZE, "epochs": arguments.epochs, "data": train, "validation_data": choose}
    run = {"batch_size": BATCH_SIZE, "epochs": arguments.epochs, "validation_data": choose, "verbose": 0}

    errors: dict[str, list[float]] = {"as written": [], "as advised": [], "LayerNormLSTM, as advised": []}
    for seed in range(arguments.seeds):
        keras.utils.set_random_seed(seed)
        written = build()
        written.fit(*train, **run)
        keras.utils.set_random_seed(seed)
        advice = advise(build(), **known)
        if seed == 0:
            print(advice)
        advised, _ = advice.fit(train, **run)
        keras.utils.set_random_seed(seed)
        inside, _ = advise(build(LayerNormLSTM), **known).fit(train, **run)
        for values, model in zip(errors.values(), (written, advised, inside), strict=True):
            predicted = np.asarray(model(test[0]))[:, 0]
            values.append(float(np.mean(np.abs(predicted - test[1]))))
    print_means("Mean error over the test days", errors, "{:.3f} °C")
    print(f"  {'nothing will change':<32} {np.mean(np.abs(test[1])):.3f} °C")


if __name__ == "__main__":
    main()
