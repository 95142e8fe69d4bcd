"""A training on another machine: what goes there, and what comes back."""

from __future__ import annotations

import tempfile
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import keras
import numpy as np

from advisor.graph import read_graph
from advisor.graph.keras_internals import compile_arguments
from advisor.race.candidate import Candidate
from advisor.race.data import RaceData
from advisor.race.scoring import Scorer
from advisor.race.trial import Outcome, Trial, train
from advisor.rewrite.cloning import custom_objects
from advisor.training.data import is_dataset


@dataclass(frozen=True, eq=False)
class Parcel:
    """A candidate as it is sent.

    Attributes:
        candidate: The candidate without its model.
        model: Content of the model's `.keras` file.
        custom_objects: Classes and functions, not Keras's own, that the file names.
    """

    candidate: Candidate
    model: bytes
    custom_objects: dict[str, Any]


@dataclass(frozen=True, eq=False)
class Pipeline:
    """A `tf.data.Dataset` as it is sent.

    Attributes:
        graph: Its operations.
        element_spec: The structure of its elements.
    """

    graph: bytes
    element_spec: Any


@dataclass(frozen=True, eq=False)
class Delivery:
    """What comes back of a training.

    Attributes:
        trial: Which one.
        outcome: What came of it.
        model: Content of the trained model's `.keras` file; None where none is kept.
    """

    trial: Trial
    outcome: Outcome
    model: bytes | None = None


def pack(candidate: Candidate) -> Parcel:
    """A candidate as it can be sent.

    Args:
        candidate: The candidate.

    Returns:
        The parcel.

    Raises:
        ValueError: If its model cannot be saved and loaded.
    """
    graph = read_graph(candidate.model)
    known: dict[str, Any] = dict(custom_objects([candidate.model, *(node.operation for node in graph.nodes.values())]))
    for part in keras.tree.flatten(compile_arguments(candidate.model) or {}):
        if callable(part) and not type(part).__module__.startswith("keras"):
            named = part if hasattr(part, "__name__") else type(part)
            known[named.__name__] = named
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "model.keras"
        try:
            candidate.model.save(file)
            parcel = Parcel(replace(candidate, model=None), file.read_bytes(), known)
            unpack(parcel)
        except Exception as error:
            raise ValueError(
                f"`{candidate.name}` must be a model that can be saved and loaded, as that is how it gets to the "
                f"workers of a cluster. Received: {type(error).__name__}: {error}"
            ) from error
    return parcel


def unpack(parcel: Parcel) -> Candidate:
    """The candidate that was sent."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "model.keras"
        file.write_bytes(parcel.model)
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "Skipping variable loading for optimizer")  # a training begins without
            model = keras.saving.load_model(file, custom_objects=parcel.custom_objects, safe_mode=False)
    return replace(parcel.candidate, model=model)


def sendable(data: RaceData) -> RaceData:
    """Data as it can be sent.

    Args:
        data: The data of a race.

    Returns:
        The same, with the operations of a `tf.data.Dataset` in place of it.

    Raises:
        ValueError: If it is a `tf.data.Dataset` that runs Python code.
    """
    if not is_dataset(data.training):
        return data
    import tensorflow as tf

    try:
        graph = tf.raw_ops.DatasetToGraphV2(
            input_dataset=tf.data.experimental.to_variant(data.training),
            external_state_policy=2,  # refuse what exists in this process only
            strip_device_assignment=True,
        )
    except tf.errors.FailedPreconditionError as error:
        raise ValueError(
            "`data` cannot be sent to the workers of a cluster, as it runs Python code (`from_generator`, "
            "`py_function`) or holds state; give arrays, or a keras.utils.PyDataset. Received: a tf.data.Dataset, "
            f"{error.message}"
        ) from error
    return replace(data, training=Pipeline(graph.numpy(), data.training.element_spec))


def received(data: RaceData) -> RaceData:
    """The data that was sent."""
    if not isinstance(data.training, Pipeline):
        return data
    import tensorflow as tf

    variant = tf.raw_ops.DatasetFromGraph(graph_def=data.training.graph)
    return replace(data, training=tf.data.experimental.from_variant(variant, data.training.element_spec))


def work(
    parcel: Parcel,
    data: RaceData,
    scorer: Scorer,
    trial: Trial,
    heat: int | None,
    *,
    report: Callable[[dict[str, Any]], object],
    deliver: Callable[[Delivery], object],
) -> None:
    """Train a candidate that was sent, and send back what came of it.

    Args:
        parcel: The candidate.
        data: The data that was sent.
        scorer: How it is scored.
        trial: The training.
        heat: Epochs after which it may be stopped from outside; then there is an outcome by then. None for none.
        report: Called after every epoch with the epoch and the score.
        deliver: Called with what came of it.
    """
    data = received(data)
    trained: list[Any] = []
    began = time.monotonic()

    def on_epoch(epoch: int, score: float) -> None:
        if epoch == heat:
            scores = scorer(trained[0], data.judging, data.batch_size)
            deliver(Delivery(trial.over(epoch), _so_far(scores, score, epoch, time.monotonic() - began)))
        report({"epoch": epoch, "score": score})

    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "model.keras"
        candidate = unpack(parcel)
        outcome = train(
            candidate, data, scorer, trial.seed, trial.epochs, on_epoch, keep_at=file, on_model=trained.append
        )
        deliver(Delivery(trial, outcome, file.read_bytes() if file.exists() else None))


def _so_far(scores: np.ndarray, choice: float, epochs: int, seconds: float) -> Outcome:
    if not np.isfinite(scores).all():
        return Outcome(None, -np.inf, epochs, seconds, failure="its predictions are no numbers")
    return Outcome(scores, choice, epochs, seconds)
