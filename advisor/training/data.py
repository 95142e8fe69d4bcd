"""Data on its way into `fit`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras

from advisor.graph import LayerSpec

KERAS_BATCH_SIZE = 32


def is_dataset(data: Any) -> bool:
    """Whether it is a `tf.data.Dataset`."""
    import tensorflow as tf

    return isinstance(data, tf.data.Dataset)


def is_arrays(data: Any) -> bool:
    """Whether it is one or more arrays, in any nesting, rather than something that yields batches."""
    return all(hasattr(leaf, "shape") and hasattr(leaf, "__getitem__") for leaf in keras.tree.flatten(data))


def batches_of(arrays: tuple[Any, ...], batch_size: int | None) -> Any:
    """Shuffled batches of `(x, y)` or `(x, y, sample_weight)` arrays as a `tf.data.Dataset`."""
    import tensorflow as tf

    samples = len(keras.tree.flatten(arrays)[0])
    dataset = tf.data.Dataset.from_tensor_slices(arrays)
    return dataset.shuffle(samples).batch(batch_size or KERAS_BATCH_SIZE)


def augmented(dataset: Any, specs: Sequence[LayerSpec]) -> Any:
    """The data set with augmentation layers applied to its inputs."""
    import tensorflow as tf

    steps = [spec.make(f"augmentation_{position}") for position, spec in enumerate(specs)]

    def augment(x: Any, *rest: Any) -> Any:
        for step in steps:
            x = step(x, training=True)
        return (x, *rest)

    return dataset.map(augment, num_parallel_calls=tf.data.AUTOTUNE) if steps else dataset


def prefetched(dataset: Any) -> Any:
    """The data set, with batches made ready while the model trains on the one before."""
    import tensorflow as tf

    return dataset.prefetch(tf.data.AUTOTUNE)
