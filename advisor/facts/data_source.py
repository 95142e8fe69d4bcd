"""Batches out of whatever `fit` takes, without consuming or fully reading it."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import keras
import numpy as np

from advisor.facts.structures import leaves, mapped

Shape = tuple[int | None, ...]
Pair = tuple[Any, Any]
"""Inputs and targets (None where there are none), NumPy arrays in any structure."""

READ_ON_SAMPLES = 20_000
READ_ON_SECONDS = 2.0
"""As far as a stream is read on to be counted, whichever comes first."""


@dataclass(frozen=True, eq=False)
class DataSource:
    """What was seen of the data.

    Attributes:
        samples: How many samples there are, or None where the data set does not tell.
        batch_size: Batch size of the data set, or None for plain arrays.
        batches: The batches that were looked at.
        whole: All inputs and targets, for arrays in memory; None for data sets.
        complete: Whether nothing was left unread.
        prepares_itself: Whether it is neither arrays nor a `tf.data.Dataset`, but makes its batches in Python.
    """

    samples: int | None
    batch_size: int | None
    batches: tuple[Pair, ...]
    whole: Pair | None = None
    complete: bool = False
    prepares_itself: bool = False


def look_into(
    data: Any,
    *,
    sample_shape: Shape | None,
    look_at: int,
    seed: int,
    read_on: Callable[[Pair], None] | None = None,
) -> DataSource:
    """Look at the first or evenly spread batches of a data set, or at random rows of arrays.

    Args:
        data: What `fit` takes: arrays, `(x, y)` or `(x, y, sample_weight)`, dicts and lists of arrays, pandas objects,
            `tf.data.Dataset`, `keras.utils.PyDataset`, torch `DataLoader`.
        sample_shape: Shape of one sample of the model's first input, to tell batches from single samples; None where
            it is not known.
        look_at: About how many samples to look at.
        seed: Seed of the choice of rows.
        read_on: Called with each batch of a stream beyond those looked at, for `READ_ON_SECONDS` or `READ_ON_SAMPLES`.
            They are not kept. None to stop at once.

    Returns:
        What was seen.

    Raises:
        TypeError: If the data is of a kind that cannot be read twice, or that `fit` does not take.
        ValueError: If it is empty, its arrays differ in length, or it yields single samples.
    """
    if _is_tf_dataset(data):
        return _from_tf_dataset(data, sample_shape, look_at, read_on)
    if isinstance(data, keras.utils.PyDataset):
        return replace(_from_py_dataset(data, look_at), prepares_itself=True)
    if is_torch_loader(data):
        return replace(_from_torch_loader(data, look_at, read_on), prepares_itself=True)
    if _is_array(data) or isinstance(data, (tuple, list, Mapping)):
        return _from_arrays(*_pair(data), look_at=look_at, seed=seed)
    if isinstance(data, Iterator):
        raise TypeError(
            "A generator can be read only once, and looking at it would take batches away from training. Give "
            "`tf.data.Dataset.from_generator(…)`, a `keras.utils.PyDataset` or arrays. "
            f"Received: data of type {type(data).__name__}"
        )
    if isinstance(data, Iterable):
        return replace(_source(map(_pair, data), look_at, read_on=read_on), prepares_itself=True)
    raise TypeError(
        "`data` must be what `fit` takes: arrays, (x, y), a tf.data.Dataset, a keras.utils.PyDataset or a torch "
        f"DataLoader. Received: {type(data).__name__}"
    )


def _from_arrays(x: Any, y: Any, *, look_at: int, seed: int) -> DataSource:
    x, y = keras.tree.map_structure(_rows_first, (x, y))
    lengths = [_length(leaf) for leaf in leaves((x, y))]
    if not lengths or 0 in lengths:
        raise ValueError(f"`data` must hold at least one sample. Received: arrays of {lengths or 'no'} rows")
    if len(set(lengths)) > 1:
        raise ValueError(f"All arrays of `data` must have equally many rows. Received: {lengths} rows")
    samples = lengths[0]
    rows = np.sort(np.random.default_rng(seed).permutation(samples)[:look_at])
    batch = mapped(lambda leaf: _take(leaf, rows), (x, y))
    return DataSource(samples, None, (batch,), whole=(x, y), complete=True)


def _from_tf_dataset(data: Any, sample_shape: Shape | None, look_at: int, read_on: Any) -> DataSource:
    x_spec, _ = _pair(data.element_spec)
    first = next(iter(leaves(x_spec)), None)
    if sample_shape is not None and _is_single_sample(getattr(first, "shape", None), sample_shape):
        raise ValueError(
            "`data` must yield batches, as `fit` wants them; add `.batch(batch_size)`. Received: a tf.data.Dataset "
            f"of single samples {data.element_spec}"
        )
    batches = int(data.cardinality())
    # What repeats without end would be counted again and again.
    endless = batches == _INFINITE_CARDINALITY
    return _source(
        map(_pair, data),
        look_at,
        batch_count=batches if batches >= 0 else None,
        read_on=None if endless else read_on,
    )


_INFINITE_CARDINALITY = -1


def _is_single_sample(spec_shape: Any, sample_shape: Shape) -> bool:
    if spec_shape is None or spec_shape.rank != len(sample_shape):
        return False
    return all(a is None or b is None or a == b for a, b in zip(tuple(spec_shape), sample_shape, strict=True))


def _from_py_dataset(data: Any, look_at: int) -> DataSource:
    count = data.num_batches
    if count == 0:
        raise ValueError("`data` must hold at least one batch. Received: an empty PyDataset")
    first = _numpy_pair(_pair(data[0]))
    if count is None:
        return _source((_pair(data[index]) for index in itertools.count()), look_at)
    # Spread over the data set, for one that is sorted.
    wanted = min(count, -(-look_at // max(1, _pair_length(first))))
    chosen = np.unique(np.linspace(0, count - 1, wanted).astype(int))
    return _source((_pair(data[int(index)]) for index in chosen), look_at, batch_count=count)


def _from_torch_loader(data: Any, look_at: int, read_on: Any) -> DataSource:
    dataset = data.dataset
    samples = len(dataset) if hasattr(dataset, "__len__") else None
    # The default collate function gives lists, which Keras takes for tuples.
    return _source((_pair(tuple(batch)) for batch in data), look_at, samples=samples, read_on=read_on)


def _source(
    pairs: Iterable[Pair],
    look_at: int,
    *,
    samples: int | None = None,
    batch_count: int | None = None,
    read_on: Callable[[Pair], None] | None = None,
) -> DataSource:
    batches: list[Pair] = []
    seen, read, ended = 0, 0, False
    deadline = float("inf")
    for position, pair in enumerate(map(_numpy_pair, pairs), start=1):
        read = position
        if seen < look_at:
            batches.append(pair)
        elif read_on is not None:
            read_on(pair)
        seen += _pair_length(pair)
        if seen >= look_at:
            deadline = min(deadline, time.monotonic() + READ_ON_SECONDS)
            if read_on is None or seen >= READ_ON_SAMPLES or time.monotonic() > deadline:
                break
    else:
        ended = True
    if not seen:
        raise ValueError("`data` must hold at least one sample. Received: a data set without batches")
    # Read to its end, so counted; a PyDataset's chosen batches may end earlier.
    complete = (ended and batch_count in (None, read)) or batch_count == read
    batch_size = _pair_length(batches[0])
    if complete:
        samples = seen
    elif samples is None and batch_count is not None:
        samples = batch_count * batch_size
    return DataSource(samples, batch_size, tuple(batches), complete=complete)


def _pair(element: Any) -> Pair:
    """Inputs and targets of what `fit` would unpack: only a tuple has targets."""
    if not isinstance(element, tuple):
        return element, None
    if not 1 <= len(element) <= 3:
        raise ValueError(
            "A tuple of data must be (x,), (x, y) or (x, y, sample_weight); give several inputs as a list or dict x. "
            f"Received: a tuple of {len(element)}"
        )
    return element[0], element[1] if len(element) > 1 else None


def _numpy_pair(pair: Pair) -> Pair:
    return mapped(_to_numpy, pair)


def _to_numpy(leaf: Any) -> np.ndarray:
    if hasattr(leaf, "detach"):
        leaf = leaf.detach().cpu()
    if hasattr(leaf, "to_numpy"):
        return np.asarray(leaf.to_numpy())
    if hasattr(leaf, "to_tensor") or hasattr(leaf, "dense_shape"):
        # TensorFlow's ragged and sparse tensors: padded and filled with zeros, as Keras itself makes arrays of them.
        return np.asarray(keras.ops.convert_to_numpy(leaf))
    return np.asarray(leaf)


def _rows_first(leaf: Any) -> Any:
    """An array whose rows can be chosen; sparse matrices stay sparse."""
    if leaf is None:
        return None
    return leaf.tocsr() if hasattr(leaf, "tocsr") else _to_numpy(leaf)


def _take(leaf: Any, rows: np.ndarray) -> np.ndarray:
    taken = leaf[rows]
    return taken.toarray() if hasattr(taken, "toarray") else np.asarray(taken)


def _pair_length(pair: Pair) -> int:
    return _length(next(iter(leaves(pair)), None))


def _length(leaf: Any) -> int:
    shape = np.shape(leaf) if not hasattr(leaf, "shape") else leaf.shape
    if not shape:
        raise ValueError(
            "Every array of `data` must have samples along its first axis. Received: a single value "
            f"({type(leaf).__name__}); a data set must yield batches, as `.batch(batch_size)` makes them"
        )
    return int(shape[0])


def _is_array(data: Any) -> bool:
    return hasattr(data, "__array__") or hasattr(data, "to_numpy") or hasattr(data, "tocsr")


def _is_tf_dataset(data: Any) -> bool:
    return hasattr(data, "element_spec") and hasattr(data, "cardinality")


def is_torch_loader(data: Any) -> bool:
    """Whether it is a torch `DataLoader`, told without importing torch."""
    return any(
        cls.__name__ == "DataLoader" and cls.__module__.startswith("torch.utils.data") for cls in type(data).__mro__
    )
