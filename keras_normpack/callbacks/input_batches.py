"""Batches of model inputs out of whatever `fit` takes."""

import itertools
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import keras
import numpy as np

DEFAULT_BATCH_SIZE = 32
"""That of `fit`."""


def check_sampling(data: Any, batches: Any, batch_size: Any) -> None:
    """Makes sure that batches can be taken from the data.

    Args:
        data: Training data as for `input_batches`.
        batches: How many batches to take at most, or `None` for all.
        batch_size: Samples in a batch of arrays, or `None`.

    Raises:
        TypeError: If the data is of a kind that `fit` does not take.
        ValueError: If `batches` or `batch_size` is not an integer from 1, `batch_size` is given with data that comes in
            batches, or all batches are wanted of data without end.
    """
    for name, value in (("batches", batches), ("batch_size", batch_size)):
        if value is not None and (not isinstance(value, int) or isinstance(value, bool) or value < 1):
            raise ValueError(f"Argument `{name}` must be an integer from 1, or None. Received: {name}={value!r}")
    if not _is_arrays(data) and not isinstance(data, keras.utils.PyDataset | Iterable):
        raise TypeError(
            "Argument `data` must be what `fit` takes: arrays, (x, y), a tf.data.Dataset, a keras.utils.PyDataset or a "
            f"torch DataLoader. Received: data of type {type(data).__name__}"
        )
    if batch_size is not None and not _is_arrays(data):
        raise ValueError(
            "Argument `batch_size` is for arrays; this data comes in batches already. "
            f"Received: batch_size={batch_size}, data of type {type(data).__name__}"
        )
    if batches is None and isinstance(data, keras.utils.PyDataset) and data.num_batches is None:
        raise ValueError("Argument `batches` must be given for a PyDataset without end. Received: batches=None")


def check_rereadable(callback: Any, data: Any) -> None:
    """Makes sure that data can be read more than once.

    Args:
        callback: The callback that reads it.
        data: Training data as for `input_batches`.

    Raises:
        TypeError: If it is a generator or another iterator.
    """
    if isinstance(data, Iterator):
        raise TypeError(
            f"Argument `data` of {type(callback).__name__} is read anew each time, and a generator can be read only "
            "once. Give arrays, a tf.data.Dataset (`from_generator` makes one), a keras.utils.PyDataset or a torch "
            f"DataLoader. Received: data of type {type(data).__name__}"
        )


def input_batches(data: Any, batches: int | None, batch_size: int | None) -> Iterator[Any]:
    """Yields the inputs of one batch after the other, without targets.

    Arrays are drawn in an order that is random but the same each time, since `fit` shuffles them too and the batches of
    sorted data have statistics of their own. Of a `PyDataset` with more batches than wanted, evenly spread ones are
    taken; of other data the first.

    Args:
        data: Arrays in the structure of the model's inputs; a tuple `(x, y)` or `(x, y, sample_weight)` of them; a
            batched `tf.data.Dataset`, `keras.utils.PyDataset`, torch `DataLoader` or generator, as `fit` takes them.
        batches: How many batches to take at most, or `None` for all.
        batch_size: Samples in a batch of arrays; `None` for 32.

    Yields:
        Inputs of a model, the batch first, as tensors of the backend or NumPy arrays.
    """
    if _is_arrays(data):
        yield from itertools.islice(_array_batches(data, batch_size or DEFAULT_BATCH_SIZE), batches)
        return
    items = _py_dataset_batches(data, batches) if isinstance(data, keras.utils.PyDataset) else data
    for item in itertools.islice(items, batches):
        x, _, _ = keras.utils.unpack_x_y_sample_weight(item)
        yield keras.tree.map_structure(_readable, x)


def _is_arrays(data: Any) -> bool:
    return isinstance(data, tuple | list | Mapping) or hasattr(data, "__array__")


def _array_batches(data: Any, batch_size: int) -> Iterator[Any]:
    x = keras.tree.map_structure(np.asarray, data[0] if isinstance(data, tuple) else data)
    samples = len(keras.tree.flatten(x)[0])
    order = np.random.default_rng(0).permutation(samples)
    for start in range(0, samples, batch_size):
        rows = order[start : start + batch_size]
        yield keras.tree.map_structure(lambda leaf, rows=rows: leaf[rows], x)


def _py_dataset_batches(data: keras.utils.PyDataset, batches: int | None) -> Iterator[Any]:
    if data.num_batches is None:
        return (data[index] for index in itertools.count())
    wanted = min(data.num_batches, batches or data.num_batches)
    return (data[int(index)] for index in np.linspace(0, data.num_batches - 1, wanted).round())


def _readable(leaf: Any) -> Any:
    return leaf if keras.ops.is_tensor(leaf) else np.asarray(leaf)
