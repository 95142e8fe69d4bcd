"""Batches that the user's own code makes, changed on their way into `fit`."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import keras
import numpy as np

from advisor.facts.data_source import is_torch_loader
from advisor.training.data import BatchChange, changed, unsuitable


def stream_changed(data: Any, changes: Sequence[BatchChange]) -> Any:
    """A source of batches with changes made to each.

    Args:
        data: A `PyDataset`, a torch `DataLoader`, or a generator.
        changes: The changes, in order.

    Returns:
        A `PyDataset` with the threads of the one given, whose processes, in which TensorFlow cannot run, become threads
        too; a `tf.data.Dataset` of the loader, whose first batch is read once more to know its shape; a generator.

    Raises:
        ValueError: If data is of another kind.
    """
    if isinstance(data, keras.utils.PyDataset):
        return _Changed(data, _on_arrays(changes))
    if is_torch_loader(data):
        return changed(_dataset_of(data), changes)
    if isinstance(data, Iterator):
        change = _on_arrays(changes)
        return (change(batch) for batch in data)
    raise unsuitable(data)


class _Changed(keras.utils.PyDataset):
    def __init__(self, source: Any, change: Callable[[Any], Any]) -> None:
        super().__init__(workers=source.workers, max_queue_size=source.max_queue_size)
        self._source, self._change = source, change

    @property
    def num_batches(self) -> int | None:
        return self._source.num_batches

    def __getitem__(self, index: int) -> Any:
        return self._change(self._source[index])

    def on_epoch_begin(self) -> None:
        self._source.on_epoch_begin()

    def on_epoch_end(self) -> None:
        self._source.on_epoch_end()


def _on_arrays(changes: Sequence[BatchChange]) -> Callable[[Any], Any]:
    """The changes as one function of a batch of arrays."""
    import tensorflow as tf

    @tf.function(reduce_retracing=True, autograph=False)
    def change_all(batch: tuple[Any, ...]) -> tuple[Any, ...]:
        for change in changes:
            batch = change(*batch)
        return batch

    def change(batch: Any) -> Any:
        tensors = keras.tree.map_structure(tf.convert_to_tensor, _as_arrays(batch))
        return keras.tree.map_structure(lambda tensor: tensor.numpy(), change_all(tensors))

    return change


def _dataset_of(loader: Any) -> Any:
    """Its batches as a `tf.data.Dataset`, which reads it anew in each epoch."""
    import tensorflow as tf

    signature = keras.tree.map_structure(
        lambda leaf: tf.TensorSpec((None, *leaf.shape[1:]), leaf.dtype), _as_arrays(next(iter(loader)))
    )
    dataset = tf.data.Dataset.from_generator(lambda: map(_as_arrays, loader), output_signature=signature)
    sized = hasattr(loader.dataset, "__len__")
    return dataset.apply(tf.data.experimental.assert_cardinality(len(loader))) if sized else dataset


def _as_arrays(batch: Any) -> tuple[Any, ...]:
    parts = tuple(batch) if isinstance(batch, (tuple, list)) else (batch,)
    return keras.tree.map_structure(np.asarray, parts)
