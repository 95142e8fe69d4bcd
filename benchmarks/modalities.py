"""What tells drawings from photographs and spectrograms from images (docs/adr/0013-what-the-data-says.md).

    python -m benchmarks.modalities [--data-dir DIR] [--fsdd FILE]

Shades of the median image, and of grey pictures the mean of all samples along each axis: its share of the variance and
how it goes with the position. `DIR` and `FILE` are as in `benchmarks.augmentation`; without them only the digits and
scikit-learn's two photographs are looked at.
"""

import argparse
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

import numpy as np
import tensorflow as tf
from sklearn import datasets

from advisor.facts.documents import Shades
from advisor.facts.modality import Profile, kurtosis
from benchmarks.short_runs import digits, update
from benchmarks.timing import RESULTS

LOOKED_AT = 512


def image_sets(data_dir: str | None) -> Iterator[tuple[str, np.ndarray]]:
    yield "digits", digits()[0][:LOOKED_AT]
    for name in ("mnist", "fashion_mnist", "cifar10") if data_dir else ():
        import tensorflow_datasets as tfds

        split = f"train[:{LOOKED_AT}]"
        taken = tfds.load(name, split=split, data_dir=data_dir, batch_size=-1, as_supervised=True)
        yield name, tfds.as_numpy(taken)[0]
    generator = np.random.default_rng(0)
    for file in sorted((Path(datasets.__file__).parent / "images").glob("*.jpg")):
        photograph = tf.io.decode_jpeg(file.read_bytes()).numpy()
        places = zip(generator.integers(0, 363, 100), generator.integers(0, 576, 100), strict=True)
        pieces = [photograph[top : top + 64, left : left + 64] for top, left in places]
        yield f"pieces of {file.name}", np.stack(pieces)


def magnitudes(waves: np.ndarray) -> np.ndarray:
    """Of windows of 256, every 128."""
    starts = range(0, waves.shape[1] - 255, 128)
    windows = np.stack([waves[:, start : start + 256] * np.hanning(256) for start in starts], axis=1)
    return np.abs(np.fft.rfft(windows))


def spectrograms(fsdd: str) -> Iterator[tuple[str, np.ndarray]]:
    spoken = magnitudes(np.load(fsdd)["x"][::6].astype("float32") / 32768)
    yield "spoken digits, magnitudes", spoken
    yield "spoken digits, logarithms", np.log(spoken + 1e-3)
    yield "spoken digits, decibels", 20 * np.log10(np.maximum(spoken, 1e-5))


def profile(samples: np.ndarray) -> dict[str, object]:
    along = {name: asdict(Profile.of(samples, axis)) for name, axis in (("rows", 1), ("columns", 2))}
    return {**along, "kurtosis": kurtosis(samples)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data-dir")
    parser.add_argument("--fsdd")
    parser.add_argument("--output", type=Path, default=RESULTS / "modalities.json")
    options = parser.parse_args()
    rows: list[dict[str, object]] = []
    for name, images in image_sets(options.data_dir):
        grey = images.astype("float32").mean(axis=-1)
        rows.append({"set": name, **asdict(Shades.of(images)), **profile(grey)})
        if images.shape[-1] > 1:
            rows.append({"set": f"{name} in grey", **asdict(Shades.of(grey))})
    for name, samples in spectrograms(options.fsdd) if options.fsdd else ():
        rows.append({"set": name, **profile(samples)})
    for row in rows:
        print(*(f"{key} {value:.3g}" if isinstance(value, float) else value for key, value in row.items()), sep="  ")
    update(options.output, {"rows": rows})


if __name__ == "__main__":
    main()
