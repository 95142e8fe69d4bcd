"""Data on its way into `fit`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import keras

from advisor.graph import LayerSpec
from advisor.training.soft_labels import one_hot

KERAS_BATCH_SIZE = 32

BatchChange = Callable[..., tuple[Any, ...]]
"""What is done to a batch: `(x, y)` or `(x, y, sample_weight)` of TensorFlow tensors in, the same out."""


def is_dataset(data: Any) -> bool:
    """Whether it is a `tf.data.Dataset`."""
    import tensorflow as tf

    return isinstance(data, tf.data.Dataset)


def is_arrays(data: Any) -> bool:
    """Whether it is one or more arrays, in any nesting, rather than something that yields batches."""
    return all(hasattr(leaf, "shape") and hasattr(leaf, "__getitem__") for leaf in keras.tree.flatten(data))


def batches_of(arrays: tuple[Any, ...], batch_size: int | None, shuffle: bool | str = True) -> Any:
    """Batches of `(x, y)` or `(x, y, sample_weight)` arrays as a `tf.data.Dataset`.

    Args:
        arrays: The arrays.
        batch_size: Samples in a batch; Keras's default when None.
        shuffle: As in `Model.fit`: whether samples are shuffled anew for every epoch, or `"batch"` for whole batches.

    Returns:
        The data set.
    """
    import tensorflow as tf

    dataset = tf.data.Dataset.from_tensor_slices(_without_lists(arrays))
    if shuffle and shuffle != "batch":
        dataset = dataset.shuffle(len(keras.tree.flatten(arrays)[0]))
    batches = dataset.batch(batch_size or KERAS_BATCH_SIZE)
    return batches.shuffle(len(batches)) if shuffle == "batch" else batches


def _without_lists(structure: Any) -> Any:
    """The structure with tuples for lists, which TensorFlow would make tensors of."""
    if isinstance(structure, (list, tuple)):
        return tuple(_without_lists(part) for part in structure)
    if isinstance(structure, Mapping):
        return {name: _without_lists(part) for name, part in structure.items()}
    return structure


def augmenting(specs: Sequence[LayerSpec], input_rank: int | None) -> BatchChange:
    """The change that applies augmentation layers to the inputs of a batch.

    Args:
        specs: The layers.
        input_rank: Axes of the model's input with the batch; inputs that lack the last one, as grey images often do,
            get it.

    Returns:
        The change.
    """
    steps = [spec.make(f"augmentation_{position}") for position, spec in enumerate(specs)]

    def augment(x: Any, *rest: Any) -> tuple[Any, ...]:
        x = _as_floats(_with_channels(x, input_rank))
        for step in steps:
            x = step(x, training=True)
        return x, *rest

    return augment


def labelling_one_hot(classes: int) -> BatchChange:
    """The change that makes one-hot labels of class numbers."""
    return lambda x, y, *weights: (x, one_hot(y, classes), *weights)


def mixing(spec: LayerSpec, input_rank: int | None) -> BatchChange:
    """The change that mixes the samples of a batch, inputs and one-hot labels alike.

    Args:
        spec: `MixUp` or `CutMix`.
        input_rank: As in `augmenting`.

    Returns:
        The change. It raises a `ValueError` for a batch with sample weights, which cannot be mixed.
    """
    layer = spec.make("mixing")

    def mix(x: Any, y: Any, *weights: Any) -> tuple[Any, ...]:
        if weights:
            raise ValueError(
                "samples are to be mixed, and there is no weight that fits a mixture of samples of different weights. "
                "Leave the weights out, or ask for advice with ignore='A402'. Received: data with sample_weight"
            )
        both = {"images": _as_floats(_with_channels(x, input_rank)), "labels": _as_columns(y)}
        both = layer(both, training=True)
        return both["images"], both["labels"]

    return mix


def changed(dataset: Any, changes: Sequence[BatchChange]) -> Any:
    """The `tf.data.Dataset` with changes made to its batches, one after the other."""
    import tensorflow as tf

    for change in changes:
        dataset = dataset.map(change, num_parallel_calls=tf.data.AUTOTUNE)
    return dataset


def prefetched(dataset: Any) -> Any:
    """The data set, with batches made ready while the model trains on the one before."""
    import tensorflow as tf

    return dataset.prefetch(tf.data.AUTOTUNE)


def split_off(arrays: tuple[Any, ...], share: float) -> tuple[tuple[Any, ...], tuple[Any, ...]]:
    """The first and the last samples, as `validation_split` of `Model.fit` parts them."""
    samples = len(keras.tree.flatten(arrays)[0])
    kept = int(samples * (1.0 - share))
    if kept == 0:
        raise ValueError(f"`validation_split` leaves nothing of {samples} samples to train on. Received: {share}")
    first = keras.tree.map_structure(lambda array: array[:kept], arrays)
    return first, keras.tree.map_structure(lambda array: array[kept:], arrays)


def unsuitable(data: Any) -> ValueError:
    """The error for data that the plan cannot change."""
    return ValueError(
        "augmentation, mixing or smoothed class numbers are planned, and they are applied to arrays `(x, y)`, a "
        "`tf.data.Dataset`, a `PyDataset`, a torch `DataLoader` or a generator. Give such data, or ask for advice "
        f"without them, as with ignore='A,R307'. Received: {type(data).__name__}"
    )


def _with_channels(x: Any, input_rank: int | None) -> Any:
    rank = getattr(getattr(x, "shape", None), "rank", None)
    return x if rank is None or rank + 1 != input_rank else x[..., None]


def _as_floats(x: Any) -> Any:
    """Integers as float32, which augmentation needs."""
    import tensorflow as tf

    return tf.cast(x, tf.float32) if x.dtype.is_integer else x


def _as_columns(y: Any) -> Any:
    """Labels as float32 with an axis for the classes; binary ones often lack it."""
    import tensorflow as tf

    y = tf.cast(y, tf.float32)
    return y[..., None] if y.shape.rank == 1 else y
