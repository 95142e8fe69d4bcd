"""What `AdvisorCallback` takes of a `fit`: `python -m benchmarks.callback`.

The four convolutions of `benchmarks.moving_average_lag` on 4,000 images of Fashion-MNIST, with validation, batch 64.
The same run without the callback, with it and no data, and with the validation samples as its data, in turn in one
process. `share` is the median of how much more processor time the run with it takes, `of_its_own` the share of the time
of the run that the callback counts itself. Takes some 5 minutes on two cores.
"""

import argparse
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

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
    processor: dict[str, list[float]] = {WITHOUT: [], "no data": [], "data": []}

    def fit(name: str, callbacks: list[AdvisorCallback]) -> None:
        keras.utils.set_random_seed(0)
        model = network((28, 28, 1))
        model.compile("adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True), metrics=["accuracy"])
        begin = time.process_time()
        run = {"validation_data": validation, "epochs": options.epochs, "batch_size": BATCH, "verbose": 0}
        model.fit(*training, callbacks=callbacks, **run)
        processor[name].append(time.process_time() - begin)
        watches.get(name, []).extend(callbacks)

    seconds = interleaved(
        {
            WITHOUT: lambda: fit(WITHOUT, []),
            "no data": lambda: fit("no data", [AdvisorCallback(verbose=0)]),
            "data": lambda: fit("data", [AdvisorCallback(data=validation, verbose=0)]),
        },
        options.repeats,
    )
    # The warm-up is left out.
    processor = {name: taken[-options.repeats :] for name, taken in processor.items()}
    rows = {name: row(kept[-options.repeats :], seconds[name], processor, name) for name, kept in watches.items()}
    print(f"{WITHOUT}: {median(seconds[WITHOUT]):.2f} s")
    for name, figures in rows.items():
        print(name, figures)
    payload = {"benchmark": "callback", "epochs": options.epochs, "repeats": options.repeats, "machine": machine()}
    write_json(options.output, {**payload, "without_seconds": round(median(seconds[WITHOUT]), 2), "with": rows})


def row(
    watches: Sequence[AdvisorCallback], seconds: Sequence[float], processor: Mapping[str, Sequence[float]], name: str
) -> dict[str, float | int]:
    shares = [watch.seconds / taken for watch, taken in zip(watches, seconds, strict=True)]
    return {
        "fit_seconds": round(median(seconds), 2),
        "processor_seconds": round(median(processor[name]), 2),
        "share": round(median_ratio(processor[name], processor[WITHOUT]) - 1, 3),
        "of_its_own": round(median(shares), 3),
        "callback_seconds": round(median([watch.seconds for watch in watches]), 2),
        "findings": len(watches[-1].findings),
    }


if __name__ == "__main__":
    main()
