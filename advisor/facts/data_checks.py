"""Does the data fit the model? Raised before anything else is done with it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import keras
import numpy as np

from advisor.facts.kinds import core_layer
from advisor.facts.model_facts import Head
from advisor.facts.structures import finite
from advisor.graph import ModelGraph, Node
from advisor.graph.keras_internals import compile_arguments, functional_form, input_structure, output_structure


def fit_inputs(graph: ModelGraph, x: Any, y: Any) -> list[np.ndarray]:
    """The arrays of one batch in the order of the model's flat inputs, in the shapes the model takes.

    Args:
        graph: The model's graph.
        x: Arrays in any structure `fit` accepts for the model.
        y: Targets, only to tell what was meant where the inputs do not fit.

    Returns:
        One array per model input; for a model without a graph, the arrays as they are.

    Raises:
        ValueError: If number, names, shapes or types of the arrays are not those of the model's inputs.
    """
    functional = functional_form(graph.model)
    if functional is None:
        return keras.tree.flatten(x)
    arrays = _in_order(graph, input_structure(functional), x, y)
    return [_in_shape(node, np.asarray(array)) for node, array in zip(graph.inputs, arrays, strict=True)]


def _in_order(graph: ModelGraph, structure: Any, x: Any, y: Any) -> list[Any]:
    names = [node.name for node in graph.inputs]
    if isinstance(x, Mapping):
        # Dict inputs go by their keys, other structures by the names of the `Input`s; Keras lets data carry more then.
        keys = list(structure) if isinstance(structure, Mapping) else names
        missing, extra = [key for key in keys if key not in x], [key for key in x if key not in keys]
        if missing or (extra and (y is None or isinstance(structure, Mapping))):
            raise ValueError(_wrong_keys(keys, x, y))
        return keras.tree.flatten(
            {key: x[key] for key in keys} if isinstance(structure, Mapping) else [x[key] for key in keys]
        )
    arrays = keras.tree.flatten(x)
    if isinstance(structure, Mapping) and len(structure) > 1:
        raise ValueError(
            f"The model takes a dict of inputs with the keys {list(structure)}. Received: {_described(x)}; "
            f"give x = {{{', '.join(f'{key!r}: …' for key in structure)}}}"
        )
    if len(arrays) != len(names):
        hint = "; give inputs and targets as a tuple (x, y)" if isinstance(x, list) and len(arrays) == 2 else ""
        raise ValueError(
            f"The model has {_counted(len(names), 'input')} ({', '.join(names)}). Received: {_described(x)}{hint}"
        )
    return arrays


def _wrong_keys(keys: Sequence[str], x: Mapping[str, Any], y: Any) -> str:
    remedy = f"give x with the keys {list(keys)}"
    if y is None and len(keys) == 1 and len(x) == 2:
        first, second = _label_last(list(x))
        remedy = (
            f"data sets of dicts need `.map(lambda sample: (sample[{first!r}], sample[{second!r}]))`, or "
            "`as_supervised=True` in `tfds.load`"
        )
    return f"The model's inputs are {list(keys)}. Received: a dict with the keys {list(x)}; {remedy}"


def _label_last(keys: list[str]) -> list[str]:
    return sorted(keys, key=lambda key: key.lower() in {"label", "labels", "target", "targets", "y"})


def _in_shape(node: Node, array: np.ndarray) -> np.ndarray:
    expected = node.output_shapes[0]
    if (array.dtype.kind in "OSU") != (node.operation.dtype == "string"):
        raise ValueError(
            f"Input `{node.name}` takes values of dtype {node.operation.dtype}. Received: an array of dtype "
            f"{array.dtype}; convert it, as with `.astype({node.operation.dtype!r})`"
        )
    for candidate in (array, *_with_or_without_last_axis(array, len(expected))):
        if _agrees(candidate.shape, expected):
            return candidate
    raise ValueError(
        f"Input `{node.name}` takes samples of shape {expected[1:]}. Received: samples of shape {array.shape[1:]}; "
        f"{_shape_remedy(array.shape[1:], expected[1:])}"
    )


def _with_or_without_last_axis(array: np.ndarray, rank: int) -> list[np.ndarray]:
    """The forms Keras itself makes of an array whose last axis of size 1 is missing or too many."""
    if array.ndim == rank - 1:
        return [array[..., None]]
    if array.ndim == rank + 1 and array.shape[-1] == 1:
        return [array[..., 0]]
    return []


def _agrees(shape: tuple[int, ...], expected: tuple[int | None, ...]) -> bool:
    # A fixed batch size is the planned run's matter: batches are cut to it later.
    return len(shape) == len(expected) and all(
        size is None or size == seen for seen, size in zip(shape[1:], expected[1:], strict=True)
    )


def _shape_remedy(received: tuple[int, ...], expected: tuple[int | None, ...]) -> str:
    if sorted(map(str, received)) == sorted(map(str, expected)):
        return "move the axes with `np.transpose` or `keras.layers.Permute`"
    if None not in expected and np.prod(received) == np.prod(expected):  # type: ignore[arg-type]
        return f"reshape it with `x.reshape((-1, {', '.join(map(str, expected))}))`"
    return f"prepare the data so, or make the model with `keras.Input({received})`"


def fit_targets(graph: ModelGraph, y: Any) -> list[np.ndarray | None]:
    """The targets of one batch in the order of the model's flat outputs; None for an output without.

    Args:
        graph: The model's graph.
        y: Targets in any structure `fit` accepts.

    Returns:
        One array or None per target.

    Raises:
        ValueError: If targets are no numbers.
    """
    functional = functional_form(graph.model)
    if isinstance(y, Mapping) and functional is not None:
        outputs = output_structure(functional)
        names = list(outputs) if isinstance(outputs, Mapping) else list(graph.model.output_names)
        y = {name: y.get(name) for name in names} if isinstance(outputs, Mapping) else [y.get(name) for name in names]
    targets = keras.tree.flatten(y)
    for target in targets:
        if target is not None and target.dtype.kind in "OSU":
            raise ValueError(
                "Targets must be numbers. Received: targets of dtype "
                f"{target.dtype}; number the classes, as with `np.unique(y, return_inverse=True)[1]`"
            )
    return targets


def check_tokens(graph: ModelGraph, node: Node, array: np.ndarray) -> None:
    """Raise `ValueError` if an input holds indices outside the `Embedding` that reads it.

    Args:
        graph: The model's graph.
        node: The input.
        array: Its values.
    """
    array = finite(array)
    for size in embedding_sizes(graph, node):
        if array.size and (array.min() < 0 or array.max() >= size):
            raise ValueError(
                f"Input `{node.name}` is read by an Embedding with input_dim={size}, so it takes 0 to {size - 1}. "
                f"Received: values from {array.min()} to {array.max()}; set `input_dim` to the size of the vocabulary"
            )


def embedding_sizes(graph: ModelGraph, node: Node) -> list[int]:
    """`input_dim` of every `Embedding` that reads an input directly."""
    layers = (core_layer(graph.nodes[path].operation) for path in graph.consumers(node.path))
    return [layer.input_dim for layer in layers if isinstance(layer, keras.layers.Embedding)]


def is_sparse_target(head: Head, output_rank: int, y: np.ndarray) -> bool:
    """Whether a target holds class indices for a head with one unit per class."""
    if not head.units or head.units < 2 or y.dtype.kind not in "iufb":
        return False
    if head.loss is not None and head.loss.configurable and not head.loss.name.startswith("SparseCategorical"):
        return False
    named = head.loss is not None and head.loss.configurable
    lacks_class_axis = y.ndim == output_rank - 1 or (y.ndim == output_rank and y.shape[-1] == 1)
    return named or (lacks_class_axis and bool(np.all(y == np.round(y))))


def check_labels(model: Any, head: Head, output_rank: int, y: np.ndarray) -> None:
    """Raise `ValueError` if labels lie outside what a head and its loss can tell apart.

    Args:
        model: The model.
        head: The head.
        output_rank: Number of axes of its output.
        y: The labels.
    """
    y = finite(y)
    if not y.size or y.dtype.kind not in "iufb":
        return
    loss = head.loss.name if head.loss else ""
    if loss.startswith("SparseCategorical") and y.ndim == output_rank and y.shape[-1] == head.units != 1:
        raise ValueError(
            f"Output `{head.path}` has the loss {loss}, so targets must be class indices. Received: targets of shape "
            f"{y.shape[1:]} per sample; use the loss CategoricalCrossentropy, or `np.argmax(y, axis=-1)`"
        )
    if is_sparse_target(head, output_rank, y):
        if head.loss is None or head.loss.configurable:
            _check_class_indices(head, y[~np.isin(y, _ignored_classes(model))])
    elif loss.startswith("Categorical") and (y.ndim != output_rank or y.shape[-1] != head.units):
        raise ValueError(
            f"Output `{head.path}` has {head.units} units and the loss {loss}, so targets must be one-hot of that "
            f"width. Received: targets of shape {y.shape[1:]} per sample; use `keras.utils.to_categorical(y)`, or "
            "the loss SparseCategoricalCrossentropy for class indices"
        )
    elif (loss.startswith("Binary") or (not loss and head.activation == "sigmoid")) and (y.min() < 0 or y.max() > 1):
        raise ValueError(
            f"Output `{head.path}` is for binary labels, which must be 0 or 1. Received: labels from {y.min():g} to "
            f"{y.max():g}; recode them, or give the model one unit per class and a softmax"
        )


def _check_class_indices(head: Head, labels: np.ndarray) -> None:
    units = head.units or 0
    if labels.size and (labels.min() < 0 or labels.max() >= units):
        counts_from_one = labels.min() == 1 and labels.max() == units
        remedy = "count them from 0" if counts_from_one else "give the head one unit per class, or drop those samples"
        raise ValueError(
            f"Output `{head.path}` has {units} units, so labels must be 0 to {units - 1}. Received: labels from "
            f"{labels.min():g} to {labels.max():g}; {remedy}"
        )


def _ignored_classes(model: Any) -> list[int]:
    losses = keras.tree.flatten(compile_arguments(model).get("loss"))
    ignored = (getattr(loss, "ignore_class", None) for loss in losses)
    return [value for value in ignored if value is not None]


def _described(x: Any) -> str:
    arrays = keras.tree.flatten(x)
    shapes = ", ".join(str(np.shape(array)) for array in arrays)
    return f"{_counted(len(arrays), 'array')} of shape {shapes}" if arrays else "no array"


def _counted(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"
