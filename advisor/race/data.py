"""The data of a race: batches in an order that the seed decides, and validation samples in two halves."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np

from advisor.facts.data_source import look_into
from advisor.facts.structures import joined, leaves, rows, sample_count, sample_shapes
from advisor.training.data import KERAS_BATCH_SIZE, is_arrays, is_dataset

Pair = tuple[Any, Any]
"""Inputs and labels, NumPy arrays in the structure the model takes."""


@dataclass(frozen=True, eq=False)
class RaceData:
    """What the candidates are trained, chosen and judged on.

    Attributes:
        training: Arrays `(x, y)` or `(x, y, sample_weight)`, or what else `fit` takes.
        choosing: The validation samples that callbacks watch, and by which candidates go on.
        judging: The validation samples that nothing is chosen by; the figures of the result rest on them.
        batch_size: Samples in a batch of arrays.
        fingerprint: A hash of all of it, as far as it can be read without training on it.
        notes: What a user should know about it, a sentence each.
    """

    training: Any
    choosing: Pair
    judging: Pair
    batch_size: int
    fingerprint: str
    notes: tuple[str, ...] = ()

    def batches(self, seed: int) -> Any:
        """The training data for `fit`; arrays in an order that depends on the seed alone, another in each epoch."""
        if not _holds_arrays(self.training):
            return self.training
        import tensorflow as tf

        samples = sample_count(self.training)
        arrays = tuple(keras.tree.map_structure(tf.convert_to_tensor, part) for part in self.training)
        options = tf.data.Options()
        # Random layers in a pipeline draw in the order in which its threads get there.
        options.threading.private_threadpool_size = 1
        order = tf.data.Dataset.range(samples).shuffle(samples, seed=seed).batch(self.batch_size).with_options(options)
        return order.map(lambda chosen: keras.tree.map_structure(lambda array: tf.gather(array, chosen), arrays))


def race_data(data: Any, validation_data: Any, batch_size: int | None) -> RaceData:
    """Read the validation data, part it, and make the training data ready.

    Args:
        data: Training data with labels, whatever `fit` takes.
        validation_data: Validation data with labels, likewise; it is read once and kept in memory.
        batch_size: Samples in a batch of arrays, or None for Keras's default.

    Returns:
        The data; every other validation sample is for choosing, the rest for judging.

    Raises:
        TypeError: If data is of a kind that `fit` does not take, or can be read only once.
        ValueError: If there are no labels, fewer than two validation samples, or they come in several shapes.

    Example:
    >>> data = race_data((np.zeros((6, 2)), np.zeros(6)), (np.arange(4.0)[:, None], np.zeros(4)), batch_size=None)
    >>> data.choosing[0].ravel().tolist(), data.judging[0].ravel().tolist(), data.batch_size
    ([0.0, 2.0], [1.0, 3.0], 32)
    """
    training = _training(data)
    validation = _labelled_samples(validation_data)
    size = batch_size or KERAS_BATCH_SIZE
    notes = []
    if not _holds_arrays(training):
        notes.append("The batches come in the order that the data set gives them, which no seed of the race decides.")
    return RaceData(
        training,
        rows(validation, slice(0, None, 2)),
        rows(validation, slice(1, None, 2)),
        size,
        _fingerprint(training, validation, size),
        tuple(notes),
    )


def _holds_arrays(data: Any) -> bool:
    return isinstance(data, tuple) and is_arrays(data)


def _training(data: Any) -> Any:
    if isinstance(data, list) and 2 <= len(data) <= 3:
        data = tuple(data)
    if _holds_arrays(data):
        if len(data) < 2:
            raise ValueError("`data` must have labels, (x, y). Received: (x,)")
        return tuple(keras.tree.map_structure(np.asarray, part) for part in data)
    first = look_into(data, sample_shape=None, look_at=1, seed=0).batches[0]
    if first[1] is None:
        raise ValueError(f"`data` must have labels, as in (x, y). Received: {type(data).__name__} without labels")
    return data


def _labelled_samples(data: Any) -> Pair:
    if data is None:
        raise ValueError("`validation_data` must be given, as candidates are compared on it. Received: None")
    if is_dataset(data) and int(data.cardinality()) == -1:
        raise ValueError(
            "`validation_data` must come to an end, as all of it is read; leave out `.repeat()`. "
            "Received: a tf.data.Dataset that repeats without end"
        )
    if isinstance(data, list) and 2 <= len(data) <= 3:
        data = tuple(data)
    source = look_into(data, sample_shape=None, look_at=2**62, seed=0)
    batches = [source.whole] if source.whole is not None else list(source.batches)
    shapes = sample_shapes(batches)
    if len(shapes) > 1:
        raise ValueError(
            "`validation_data` must hold samples of one shape; pad them to the same length. "
            f"Received: samples of {len(shapes)} shapes"
        )
    samples: Pair = joined(batches)
    if samples[1] is None:
        raise ValueError("`validation_data` must have labels, as in (x, y). Received: inputs without labels")
    if sample_count(samples) < 2:
        raise ValueError(f"`validation_data` must hold at least 2 samples. Received: {sample_count(samples)}")
    return samples


def _fingerprint(training: Any, validation: Pair, batch_size: int) -> str:
    digest = hashlib.sha256(str(batch_size).encode())
    arrays = leaves(validation) + (leaves(training) if _holds_arrays(training) else [])
    for array in arrays:
        digest.update(f"{array.dtype}{array.shape}".encode())
        digest.update(array.tobytes() if array.dtype.kind != "O" else repr(array.tolist()).encode())
    for part in _description(training):
        digest.update(part.encode())
    return digest.hexdigest()


def _description(data: Any) -> Iterator[str]:
    """What tells one data set from another without reading it."""
    if _holds_arrays(data):
        return
    yield type(data).__name__
    if is_dataset(data):
        yield str(data.element_spec)
        yield str(int(data.cardinality()))
    elif hasattr(data, "__len__"):
        yield str(len(data))
