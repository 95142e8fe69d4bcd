"""Real data for the examples, as arrays in three parts: to train on, to choose on, and to test on once.

The digits come with scikit-learn. The rest is read from one folder, `$TFDS_DATA_DIR` or `~/tensorflow_datasets`, and
downloaded into it by TensorFlow Datasets the first time, which needs a network.
"""

import os
from pathlib import Path

import numpy as np
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

Part = tuple[np.ndarray, np.ndarray]

FOLDER = Path(os.environ.get("TFDS_DATA_DIR", Path.home() / "tensorflow_datasets"))


def digits(seed: int = 0) -> tuple[Part, Part, Part]:
    """1,293 handwritten digits of 8×8 pixels from 0 to 1 to train on, 144 to choose on, 360 to test on."""
    bunch = load_digits()
    return in_three((bunch.images[..., None] / 16.0).astype("float32"), bunch.target, seed)


def in_three(x: np.ndarray, y: np.ndarray, seed: int = 0) -> tuple[Part, Part, Part]:
    """A fifth to test on, a tenth of the rest to choose on, classes in equal shares."""
    x, x_test, y, y_test = train_test_split(x, y, test_size=0.2, random_state=seed, stratify=y)
    x, x_choose, y, y_choose = train_test_split(x, y, test_size=0.1, random_state=seed, stratify=y)
    return (x, y), (x_choose, y_choose), (x_test, y_test)


def cifar10(per_class: int, seed: int = 0) -> tuple[Part, Part, Part]:
    """So many colour images of 32×32 pixels from 0 to 255 per class, 10 per class to choose on, 1,000 to test on."""
    import tensorflow_datasets as tfds

    splits = tfds.load("cifar10", split=["train", "test"], data_dir=FOLDER, batch_size=-1, as_supervised=True)
    (x, y), (x_test, y_test) = tfds.as_numpy(splits)
    order = np.random.default_rng(seed).permutation(len(x))
    of_each = [order[y[order] == label] for label in range(10)]
    train = np.concatenate([one[:per_class] for one in of_each])
    choose = np.concatenate([one[-10:] for one in of_each])
    return (
        (x[train].astype("float32"), y[train]),
        (x[choose].astype("float32"), y[choose]),
        (x_test[:1000].astype("float32"), y_test[:1000]),
    )


def reviews(train: int, seed: int = 0) -> tuple[Part, Part, Part]:
    """So many film reviews of the IMDB as texts, 1 for praise; 500 to choose on and 2,000 to test on."""
    archive = FOLDER / "npz" / "imdb.npz"
    if archive.exists():
        packed = np.load(archive)
        known, unknown = (
            (np.array(packed[f"x_{part}"].tobytes().decode().split("\0"), dtype=object), packed[f"y_{part}"])
            for part in ("train", "test")
        )
    else:
        import tensorflow_datasets as tfds

        splits = tfds.load("imdb_reviews", split=["train", "test"], data_dir=FOLDER, batch_size=-1, as_supervised=True)
        known, unknown = ((np.array([text.decode() for text in x], dtype=object), y) for x, y in tfds.as_numpy(splits))
    order = np.random.default_rng(seed).permutation(len(known[0]))
    chosen, held = order[:train], order[-500:]
    test = np.random.default_rng(seed).permutation(len(unknown[0]))[:2000]
    return tuple(
        (x[rows], y[rows].astype("int64")) for (x, y), rows in ((known, chosen), (known, held), (unknown, test))
    )


def spoken_digits(train: int, seed: int = 0) -> tuple[Part, Part, Part]:
    """So many spoken digits, a second at 8 kHz from -1 to 1; 200 to choose on, and all of one speaker to test on."""
    archive = FOLDER / "npz" / "fsdd.npz"
    if archive.exists():
        packed = np.load(archive)
        waves, labels, speakers = packed["x"] / 32768, packed["y"], packed["speaker"]
    else:
        import tensorflow_datasets as tfds

        rows = list(tfds.as_numpy(tfds.load("spoken_digit", split="train", data_dir=FOLDER)))
        waves = np.stack([np.pad(row["audio"][:8000], (0, max(0, 8000 - len(row["audio"])))) for row in rows]) / 32768
        labels = np.array([row["label"] for row in rows])
        speakers = np.array([row["audio/filename"].decode().split("_")[1] for row in rows])
    waves, labels = waves.astype("float32"), labels.astype("int64")
    away = speakers == np.unique(speakers)[-1]
    order = np.random.default_rng(seed).permutation(np.flatnonzero(~away))
    return tuple((waves[rows], labels[rows]) for rows in (order[:train], order[-200:], np.flatnonzero(away)))
