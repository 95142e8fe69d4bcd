"""Real images for the demo, as `tf.data` pipelines."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from advisor.demo.errors import DemoDataError
from advisor.demo.tfds_images import Split, tfds_images

TEST_SHARE = 0.2
VALIDATION_SHARE = 0.1
FEWEST_SAMPLES = 2
"""One image to train on and one to validate on."""


@dataclass(frozen=True, eq=False)
class ImageData:
    """An image classification set, split three ways.

    Attributes:
        name: What it is called.
        train: Batched `tf.data.Dataset` of `(image, label)`: images `(batch, height, width, channels)` as float32 from
            0 to 1, labels `(batch,)` as integers.
        validation: The same, held out from training.
        test: The same, touched once.
        image_shape: `(height, width, channels)`.
        classes: Number of classes.
        sizes: Number of training, validation and test images.
    """

    name: str
    train: Any
    validation: Any
    test: Any
    image_shape: tuple[int, int, int]
    classes: int
    sizes: tuple[int, int, int]


def load_images(
    source: str = "digits",
    *,
    batch_size: int = 32,
    data_dir: str | None = None,
    samples: int | None = None,
    seed: int = 0,
) -> ImageData:
    """Load a data set by name.

    Args:
        source: `"digits"`, scikit-learn's 1,797 handwritten digits of 8×8 pixels, or `"tfds:NAME"` for an image
            classification set of TensorFlow Datasets.
        batch_size: Images per batch, at least 1.
        data_dir: Folder where TensorFlow Datasets keeps its data; its own default when None.
        samples: Use at most so many images for training and validation, at least 2; all when None.
        seed: Seed of the split and of the shuffling.

    Returns:
        The data.

    Raises:
        DemoDataError: If there is no such data set, it is not on this machine and cannot be downloaded, or it is no
            image classification set.
        ValueError: If `samples` is below 2.

    Example:
    >>> load_images("digits").image_shape
    (8, 8, 1)
    """
    if samples is not None and samples < FEWEST_SAMPLES:
        raise ValueError(f"`samples` must be at least {FEWEST_SAMPLES}. Received: samples={samples}")
    kind, _, name = source.partition(":")
    if source == "digits":
        (images, labels), (test_images, test_labels), classes = _digits()
    elif kind == "tfds" and name:
        (images, labels), (test_images, test_labels), classes = tfds_images(name, data_dir, samples)
    else:
        raise DemoDataError(
            f"`data` must be 'digits' or 'tfds:NAME', such as 'tfds:fashion_mnist'. Received: {source!r}"
        )
    order = np.random.default_rng(seed).permutation(len(images))[:samples]
    images, labels = images[order], labels[order]
    held_out = max(1, round(len(images) * VALIDATION_SHARE))
    return ImageData(
        name=source,
        train=_pipeline(images[held_out:], labels[held_out:], batch_size, shuffle_seed=seed),
        validation=_pipeline(images[:held_out], labels[:held_out], batch_size),
        test=_pipeline(test_images, test_labels, batch_size),
        image_shape=images.shape[1:],
        classes=classes,
        sizes=(len(images) - held_out, held_out, len(test_images)),
    )


def _digits() -> tuple[Split, Split, int]:
    from sklearn.datasets import load_digits
    from sklearn.model_selection import train_test_split

    digits = load_digits()
    images = (digits.images[..., None] / 16.0).astype("float32")
    # The same test images whatever the seed, so that seeds differ by training alone.
    train, test, train_labels, test_labels = train_test_split(
        images, digits.target, test_size=TEST_SHARE, random_state=0, stratify=digits.target
    )
    return (train, train_labels), (test, test_labels), len(digits.target_names)


def _pipeline(images: np.ndarray, labels: np.ndarray, batch_size: int, shuffle_seed: int | None = None) -> Any:
    import tensorflow as tf

    dataset = tf.data.Dataset.from_tensor_slices((images, labels.astype("int64")))
    if shuffle_seed is not None:
        dataset = dataset.shuffle(len(images), seed=shuffle_seed)
    return dataset.batch(batch_size).prefetch(tf.data.AUTOTUNE)
