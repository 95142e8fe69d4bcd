"""Lowered momentum against statistics recomputed after training, in runs too short for the moving averages.

A small convolutional network is trained on the digits. The momentum has no part in training, so one run serves all
momenta, as in `benchmarks.moving_average_lag`; at some steps the test accuracy is taken with the averages of Keras's
momentum, with those of the momentum that N112 sets, and with statistics that
`keras_normpack.recompute_batch_statistics` takes from the training set. Takes some minutes on two cores.

    python -m benchmarks.precise_batch_norm
"""

import math
import statistics

import keras
import numpy as np
from sklearn.datasets import load_digits

import keras_normpack
from advisor.rules.normalization.batch_statistics import settled_momentum
from benchmarks.moving_average_lag import REFERENCE, Averages, network
from benchmarks.timing import RESULTS, machine, write_json

MOMENTA = (0.99, 0.95, 0.9, 0.8, 0.7, 0.5)
STEPS = (10, 20, 50, 100, 200, 400, 800, 1600)
SEEDS = range(3)
CONDITIONS = {
    "Adam 0.001, batch 32": (lambda: keras.optimizers.Adam(1e-3), 32),
    "Adam 0.01, batch 32": (lambda: keras.optimizers.Adam(1e-2), 32),
    "SGD 0.05 with momentum, batch 32": (lambda: keras.optimizers.SGD(0.05, momentum=0.9), 32),
    "Adam 0.001, batch 8": (lambda: keras.optimizers.Adam(1e-3), 8),
}
TRAINING_SAMPLES = 1200


def run(condition: str, images: np.ndarray, labels: np.ndarray, seed: int) -> dict[int, dict[str, float]]:
    """Test accuracies of one run: by number of steps, then by kind of statistics."""
    make_optimizer, batch_size = CONDITIONS[condition]
    keras.utils.set_random_seed(seed)
    model = network((8, 8, 1))
    model.compile(make_optimizer(), keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    training, test = ((images[part], labels[part]) for part in (slice(TRAINING_SAMPLES), slice(TRAINING_SAMPLES, None)))
    averages = Averages(
        test,
        STEPS,
        MOMENTA,
        lambda model: keras_normpack.recompute_batch_statistics(model, training[0], batch_size=batch_size),
    )
    epochs = math.ceil(max(STEPS) * batch_size / TRAINING_SAMPLES)
    model.fit(*training, batch_size=batch_size, epochs=epochs, callbacks=[averages], verbose=0)
    return averages.accuracies


def main() -> None:
    pixels, labels = load_digits(return_X_y=True)
    order = np.random.default_rng(0).permutation(len(pixels))
    images, labels = (pixels.reshape(-1, 8, 8, 1) / 16).astype("float32")[order], labels[order]
    results = {}
    for condition in CONDITIONS:
        runs = [run(condition, images, labels, seed) for seed in SEEDS]
        means = {
            steps: {kind: 100 * statistics.fmean(one[steps][kind] for one in runs) for kind in runs[0][steps]}
            for steps in STEPS
        }
        results[condition] = means
        print(f"{condition}: test accuracy in percent\nsteps {'0.99':>8}{'0.9':>8}{'N112':>8}{'recomputed':>12}")
        for steps, found in means.items():
            cells = (found["0.99"], found["0.9"], found[str(settled_momentum(steps))])
            print(f"{steps:<6}" + "".join(f"{cell:>8.1f}" for cell in cells) + f"{found[REFERENCE]:>12.1f}", flush=True)
    write_json(RESULTS / "precise_batch_norm.json", {"machine": machine(), "results": results})


if __name__ == "__main__":
    main()
