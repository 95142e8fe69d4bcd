"""Real data for the benchmarks, as arrays: a few thousand samples in three parts, the same on every machine.

Digits, wine, breast cancer and diabetes come with scikit-learn. The others are read from one folder, by default
`~/tensorflow_datasets` or `$TFDS_DATA_DIR`: `fashion_mnist`, `mnist` and `cifar10` as TensorFlow Datasets leave them,
the rest as `npz/imdb.npz`, `npz/ucr_<name>.npz` and `npz/fsdd.npz`.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np

Pair = tuple[np.ndarray, np.ndarray]


@dataclass(frozen=True, eq=False)
class Parts:
    """A data set in three parts that share no sample.

    Attributes:
        train: Inputs and labels to train on.
        validation: To choose on.
        test: To be touched once.
        classes: Number of classes; 0 for a regression.
    """

    train: Pair
    validation: Pair
    test: Pair
    classes: int


def data_folder() -> Path:
    """The folder with the data that scikit-learn does not bring."""
    return Path(os.environ.get("TFDS_DATA_DIR", Path.home() / "tensorflow_datasets"))


def parts(name: str, train: int, validation: int, test: int, seed: int = 0) -> Parts:
    """Draw three parts of a data set, without repetition.

    Args:
        name: One of `NAMES`.
        train: Samples to train on, drawn from the published training part.
        validation: Samples to choose on, drawn from the same.
        test: Samples to test on, drawn from the published test part; from the one part where only one was published.
        seed: Seed of the draw.

    Returns:
        The parts; fewer samples where there are not so many. Labels are whole numbers from 0, or floats.
    """
    if name not in LOADERS:
        raise ValueError(f"unknown data set; expected one of {', '.join(NAMES)}. Received: {name!r}")
    (x, y), held = _loaded(name)
    order = np.random.default_rng(seed).permutation(len(x))
    if held is None:
        tested, order = order[:test], order[test:]
        held = (x[tested], y[tested])
    else:
        chosen = np.random.default_rng(seed + 1).permutation(len(held[0]))[:test]
        held = (held[0][chosen], held[1][chosen])
    chosen, rest = order[:validation], order[validation : validation + train]
    classes = int(y.max()) + 1 if y.dtype.kind in "iu" else 0
    return Parts((x[rest], y[rest]), (x[chosen], y[chosen]), held, classes)


@cache
def _loaded(name: str) -> tuple[Pair, Pair | None]:
    return LOADERS[name]()


def _scikit(name: str) -> Callable[[], tuple[Pair, None]]:
    def load() -> tuple[Pair, None]:
        from sklearn import datasets

        bunch = getattr(datasets, f"load_{name}")()
        x = (bunch.images / 16.0)[..., None] if name == "digits" else bunch.data
        y = bunch.target
        return (x.astype("float32"), y.astype("float32" if name == "diabetes" else "int64")), None

    return load


def _images(name: str) -> Callable[[], tuple[Pair, Pair]]:
    def load() -> tuple[Pair, Pair]:
        import tensorflow_datasets as tfds

        splits = tfds.load(
            name, split=["train", "test"], data_dir=str(data_folder()), batch_size=-1, as_supervised=True
        )
        first, second = ((x.astype("float32") / 255, y.astype("int64")) for x, y in tfds.as_numpy(splits))
        return first, second

    return load


def _series(name: str) -> Callable[[], tuple[Pair, Pair]]:
    def load() -> tuple[Pair, Pair]:
        archive = np.load(data_folder() / "npz" / f"ucr_{name}.npz")
        classes = np.unique(archive["y_train"])
        first, second = (
            (archive[f"x_{part}"].astype("float32"), np.searchsorted(classes, archive[f"y_{part}"]).astype("int64"))
            for part in ("train", "test")
        )
        return first, second

    return load


REVIEW_WORDS = 4000
REVIEW_LENGTH = 128


def _reviews() -> tuple[Pair, Pair]:
    """Film reviews as word numbers: 0 pads the end, 1 is any word that is not among the most frequent ones."""
    import keras

    archive = np.load(data_folder() / "npz" / "imdb.npz")
    texts = {part: archive[f"x_{part}"].tobytes().decode().split("\0") for part in ("train", "test")}
    vectorize = keras.layers.TextVectorization(REVIEW_WORDS, output_sequence_length=REVIEW_LENGTH)
    vectorize.adapt(texts["train"][:10_000])
    first, second = (
        (np.asarray(vectorize(texts[part])).astype("int32"), archive[f"y_{part}"].astype("int64"))
        for part in ("train", "test")
    )
    return first, second


def _spoken_digits() -> tuple[Pair, Pair]:
    """Log-mel spectrograms `(49, 32)` of spoken digits; the two speakers of the test part do not train."""
    import keras

    archive = np.load(data_folder() / "npz" / "fsdd.npz")
    mel = keras.layers.MelSpectrogram(
        fft_length=256, sequence_stride=166, sampling_rate=8000, num_mel_bins=32, min_freq=50, max_freq=4000
    )
    waves = archive["x"].astype("float32") / 32768
    spectrograms = np.concatenate([np.asarray(mel(waves[start : start + 500])) for start in range(0, len(waves), 500)])
    x = spectrograms.transpose(0, 2, 1).astype("float32")
    speakers = np.unique(archive["speaker"])
    tested = np.isin(archive["speaker"], speakers[-2:])
    y = archive["y"].astype("int64")
    return (x[~tested], y[~tested]), (x[tested], y[tested])


_SERIES = ("Crop", "ECG5000", "ElectricDevices", "FordA")
LOADERS: dict[str, Callable[[], tuple[Pair, Pair | None]]] = {
    **{name: _scikit(name) for name in ("digits", "wine", "breast_cancer", "diabetes")},
    **{name: _images(name) for name in ("fashion_mnist", "mnist", "cifar10")},
    **{name: _series(name) for name in _SERIES},
    "imdb": _reviews,
    "spoken_digits": _spoken_digits,
}
NAMES = tuple(LOADERS)
_PLACES = {
    # An interrupted download leaves a folder, and not this in it.
    **{name: f"{name}/*/dataset_info.json" for name in ("fashion_mnist", "mnist", "cifar10")},
    **{name: f"npz/ucr_{name}.npz" for name in _SERIES},
    "imdb": "npz/imdb.npz",
    "spoken_digits": "npz/fsdd.npz",
}


def is_here(name: str) -> bool:
    """Whether a data set is on this machine, or comes with scikit-learn."""
    return name not in _PLACES or any(data_folder().glob(_PLACES[name]))
