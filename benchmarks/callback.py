"""What `AdvisorCallback` takes of a `fit`: `python -m benchmarks.callback`.

The four convolutions of `benchmarks.moving_average_lag` on 4,000 images of Fashion-MNIST, with validation, batch 64.
The same run without the callback, with it and no data, and with the validation samples as its data, in turn in one
process. `share` is the median of how much longer the run with it takes; `of_its_own` the share that the callback counts
itself, of which less depends on what else the machine does. Takes some 5 minutes on two cores.
"""

import argparse
import statistics
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras

from advisor import AdvisorCallback
from benchmarks.moving_average_lag import load, network
from benchmarks.timing import RESULTS, interleaved, machine, median, median_ratio, write_json

TRAINING, VALIDATION, BATCH = 4000, 1000, 64
WITHOUT = "without"


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.callback", description=__doc__.splitlines()[0])
    parser.add_argument("--data-dir", help="folder of TensorFlow Datasets (default: TFDS's own)")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--output", type=Path, default=RESULTS / "callback.json")
    options = parser.parse_args()
    training = load("train", TRAINING, options.data_dir)
    validation = load("test", VALIDATION, options.data_dir)
    watches: dict[str, list[AdvisorCallback]] = {"no data": [], "data": []}

    def fit(watch: Callable[[], AdvisorCallback | None], kept: list[Any]) -> None:
        keras.utils.set_random_seed(0)
        model = network((28, 28, 1))
        model.compile("adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True), metrics=["accuracy"])
        callback = watch()
        kept.append(callback)
        run = {"validation_data": validation, "epochs": options.epochs, "batch_size": BATCH, "verbose": 0}
        model.fit(*training, callbacks=[] if callback is None else [callback], **run)

    seconds = interleaved(
        {
            WITHOUT: lambda: fit(lambda: None, []),
            "no data": lambda: fit(lambda: AdvisorCallback(verbose=0), watches["no data"]),
            "data": lambda: fit(lambda: AdvisorCallback(data=validation, verbose=0), watches["data"]),
        },
        options.repeats,
    )
    rows = {
        name: {
            "fit_seconds": round(median(seconds[name]), 2),
            "share": round(median_ratio(seconds[name], seconds[WITHOUT]) - 1, 3),
            "of_its_own": round(
                statistics.median(
                    watch.seconds / taken for watch, taken in zip(kept[-options.repeats :], seconds[name], strict=True)
                ),
                3,
            ),
            "callback_seconds": round(median([watch.seconds for watch in kept[-options.repeats :]]), 2),
            "findings": len(kept[-1].findings),
        }
        for name, kept in watches.items()
    }
    print(f"{WITHOUT}: {median(seconds[WITHOUT]):.2f} s")
    for name, row in rows.items():
        print(name, row)
    payload = {"benchmark": "callback", "epochs": options.epochs, "repeats": options.repeats, "machine": machine()}
    write_json(options.output, {**payload, "without_seconds": round(median(seconds[WITHOUT]), 2), "with": rows})


if __name__ == "__main__":
    main()
