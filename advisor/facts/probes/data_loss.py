"""The loss of a model on its data, for probes: the compiled one, or the one that head and labels suggest."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy as np

from advisor.facts.data_checks import fit_targets, is_sparse_target
from advisor.facts.data_facts import DataFacts
from advisor.facts.facts import gather_facts
from advisor.facts.model_facts import Head, per_output
from advisor.graph import ModelGraph
from advisor.graph.keras_internals import compile_arguments

DataLoss = Callable[[Any, Any], Any]
"""Takes the targets and outputs of a batch, and gives a scalar tensor."""


def data_loss(graph: ModelGraph, data: DataFacts) -> DataLoss | None:
    """How far a model's outputs are from their targets, penalties not included.

    Args:
        graph: The model's graph.
        data: Facts of the data, with its labels.

    Returns:
        The compiled loss with its weights; for a model that is not compiled, crossentropy or mean squared error as the
        activation of each head and the labels suggest; None where there are no labels.
    """
    if not data.batches or data.batches[0][1] is None:
        return None
    arguments = compile_arguments(graph.model)
    heads = gather_facts(graph, trained=False).model.heads
    targets = fit_targets(graph, data.batches[0][1])
    if arguments:
        losses = [None if loss is None else keras.losses.get(loss) for loss in per_output(graph, arguments.get("loss"))]
    else:
        losses = [_fitting(graph, data, head, y) for head, y in zip(heads, targets, strict=False)]
    weights = [1.0 if weight is None else weight for weight in per_output(graph, arguments.get("loss_weights"))]
    if not any(losses) or len(losses) != len(targets):
        return None

    def loss(y: Any, outputs: Any) -> Any:
        parts = zip(losses, weights, fit_targets(graph, y), keras.tree.flatten(outputs), strict=True)
        return sum(
            weight * keras.ops.mean(one(_fitted(target, output), keras.ops.cast(output, "float32")))
            for one, weight, target, output in parts
            if one is not None and target is not None
        )

    return loss


def _fitting(graph: ModelGraph, data: DataFacts, head: Head, target: np.ndarray | None) -> Any:
    if target is None:
        return None
    source = graph.outputs[head.output]
    rank = len(graph.nodes[source.path].output_shapes[source.index])
    one_per_sample = is_sparse_target(head, rank, target)
    if head.activation == "sigmoid":
        return keras.losses.BinaryCrossentropy()
    if head.activation == "softmax":
        return (
            keras.losses.SparseCategoricalCrossentropy() if one_per_sample else keras.losses.CategoricalCrossentropy()
        )
    if data.classes is None or head.activation is not None:
        return keras.losses.MeanSquaredError()
    if head.units == 1:
        return keras.losses.BinaryCrossentropy(from_logits=True)
    if one_per_sample:
        return keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    return keras.losses.CategoricalCrossentropy(from_logits=True)


def _fitted(target: np.ndarray, output: Any) -> Any:
    """A target with the axis of size one that its output has."""
    tensor: Sequence[Any] = keras.ops.convert_to_tensor(target)
    if len(target.shape) == len(output.shape) - 1 and output.shape[-1] == 1:
        tensor = keras.ops.expand_dims(tensor, -1)
    return keras.ops.cast(tensor, "float32") if target.dtype.kind == "f" else tensor
