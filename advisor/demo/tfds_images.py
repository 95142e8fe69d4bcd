"""Image classification sets of TensorFlow Datasets, as arrays."""

from __future__ import annotations

import socket
from contextlib import suppress
from typing import Any
from urllib.parse import urlsplit
from urllib.request import getproxies

import numpy as np

from advisor.demo.errors import DemoDataError

SIDE = 64
"""Height and width that images are scaled to in a set whose images differ in size."""
MOST_TEST_IMAGES = 10_000
SPLITS_WITHOUT_TEST = ("train[:80%]", "train[80%:]")
"""Parts to train and to test on in a set that was published in one piece."""

Split = tuple[np.ndarray, np.ndarray]
"""Images `(samples, height, width, channels)` as float32 from 0 to 1, and labels `(samples,)`."""


def tfds_images(name: str, data_dir: str | None = None, most: int | None = None) -> tuple[Split, Split, int]:
    """Read an image classification set, downloading it where it is not on this machine.

    Args:
        name: Its name in the catalogue of TensorFlow Datasets.
        data_dir: Folder where TensorFlow Datasets keeps its data; its own default when None.
        most: Read at most so many training images; all when None.

    Returns:
        The training images with their labels, the test images with theirs, and the number of classes.

    Raises:
        DemoDataError: If there is no such data set, it is not on this machine and cannot be downloaded, cannot be read,
            or is no image classification set.
    """
    import tensorflow_datasets as tfds

    try:
        builder = tfds.builder(name, data_dir=data_dir)
    except Exception as error:
        raise DemoDataError(
            f"TensorFlow Datasets cannot open {name!r}: {_first_line(error)} Its catalogue: "
            "https://www.tensorflow.org/datasets/catalog/overview#image_classification"
        ) from error
    shape, classes = _shape_and_classes(builder)
    try:
        if not builder.data_path.exists():
            _check_reachable(builder)
        builder.download_and_prepare()
    except Exception as error:
        raise DemoDataError(
            f"{name!r} is not under {_root(builder)} and could not be downloaded and prepared ({_first_line(error)}). "
            "Connect to the internet once, or name the folder where it lies with --data-dir"
        ) from error
    if "train" not in builder.info.splits:
        raise DemoDataError(f"{name!r} must have a split 'train'. Received: {', '.join(builder.info.splits)}")
    train, test = ("train", "test") if "test" in builder.info.splits else SPLITS_WITHOUT_TEST
    try:
        return _read(builder, train, shape, most), _read(builder, test, shape, MOST_TEST_IMAGES), classes
    except Exception as error:
        raise DemoDataError(
            f"{name!r} could not be read ({_first_line(error)}). Delete {builder.data_path}, to have it prepared again"
        ) from error


def _check_reachable(builder: Any) -> None:
    """Fails where no host of the files has an address, which TFDS would try again for minutes.

    Not behind a proxy, which knows addresses that this machine does not, nor where downloads are kept already.
    """
    hosts = {urlsplit(url).hostname for url in builder.url_infos or ()}
    if not hosts or getproxies() or (_root(builder) / "downloads").exists():
        return
    for host in hosts:
        with suppress(socket.gaierror):
            socket.getaddrinfo(host, 443)
            return
    raise ConnectionError(f"no address for {', '.join(sorted(map(str, hosts)))}")


def _root(builder: Any) -> Any:
    """The folder of all data sets; a set may have a folder for its configuration between its name and its version."""
    return builder.data_path.parents[builder.info.full_name.count("/")]


def _shape_and_classes(builder: Any) -> tuple[tuple[int, int, int], int]:
    """The shape that every image is given, and the number of classes."""
    from tensorflow_datasets import features

    known = builder.info.features
    keys = builder.info.supervised_keys or ()
    supervised = [known[key] for key in keys if isinstance(key, str)]
    if [type(feature) for feature in supervised] != [features.Image, features.ClassLabel]:
        raise DemoDataError(
            f"{builder.name!r} is no image classification set; take one such as 'tfds:fashion_mnist'. "
            f"Received: {', '.join(f'{key} ({type(feature).__name__})' for key, feature in known.items())}"
        )
    image, label = supervised
    height, width, channels = image.shape
    if height is None or width is None:
        height = width = SIDE
    return (height, width, channels), label.num_classes


def _read(builder: Any, split: str, shape: tuple[int, int, int], most: int | None) -> Split:
    """The first images of a split: TFDS stores them in random order."""
    import tensorflow as tf
    import tensorflow_datasets as tfds

    def of_one_shape(image: Any, label: Any) -> tuple[Any, Any]:
        return tf.ensure_shape(tf.image.resize(image, shape[:2]) / 255.0, shape), label

    dataset = builder.as_dataset(split=split, as_supervised=True).take(-1 if most is None else most)
    pairs = list(tfds.as_numpy(dataset.map(of_one_shape)))
    return np.stack([image for image, _ in pairs]), np.array([label for _, label in pairs])


def _first_line(error: Exception) -> str:
    return next(iter(str(error).splitlines()), type(error).__name__)
