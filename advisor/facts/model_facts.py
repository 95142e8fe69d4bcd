"""What the rules know of the model as a whole."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import keras
import numpy as np

from advisor.facts.kinds import Kind
from advisor.facts.layer_facts import LINEAR_KINDS, LayerFacts
from advisor.facts.learning_rate import LearningRate, learning_rate
from advisor.graph import ModelGraph
from advisor.graph.keras_internals import compile_arguments, decays, functional_form, output_structure

ERROR_LOSSES = frozenset(
    [
        "MeanSquaredError",
        "MeanAbsoluteError",
        "Huber",
        "LogCosh",
        "mean_squared_error",
        "mean_absolute_error",
        "huber",
        "log_cosh",
    ]
)
"""Names of losses that measure how far off an estimate is, as classes and as functions."""

Task = Literal["classification", "regression", "segmentation", "detection", "image_to_image", "generation", "sequence"]
TASKS: tuple[str, ...] = Task.__args__  # type: ignore[attr-defined]

_CLIPPING = ("clipnorm", "clipvalue", "global_clipnorm")

FAMILIES = (Kind.CONV, Kind.RECURRENT, Kind.ATTENTION, Kind.DENSE)


@dataclass(frozen=True)
class Loss:
    """The loss of one output.

    Attributes:
        name: Class name, such as `CategoricalCrossentropy`; the function's name for a plain function.
        from_logits: Whether it expects logits; None where it has no such argument.
        configurable: Whether it is a `keras.losses.Loss` that can be made again with other arguments.
        label_smoothing: Share of every label that it spreads over all classes.
    """

    name: str
    from_logits: bool | None
    configurable: bool
    label_smoothing: float = 0.0


@dataclass(frozen=True)
class Head:
    """One output of the model.

    Attributes:
        output: Position among the flat outputs.
        path: Leaf whose output it is.
        linear: The last conv or dense layer before it, or None.
        activation: Name of the last activation after that layer, or None.
        units: Size of the last axis.
        loss: The compiled loss, or None.
    """

    output: int
    path: str
    linear: str | None
    activation: str | None
    units: int | None
    loss: Loss | None


@dataclass(frozen=True)
class ModelFacts:
    """The model as a whole.

    Attributes:
        params: Number of weights.
        parameter_shares: Share of the weights per family (conv with depthwise, recurrent, attention, dense).
        flops_shares: Share of the computation per family.
        family: The family that does most of the computation.
        heads: One entry per output.
        task: What the model is for.
        compiled: Whether the model is compiled.
        optimizer: Class name of the optimizer, or None.
        momentum: The optimizer's momentum, 0 where it has none.
        clipping: How gradients are clipped, by the optimizer's argument: `clipnorm`, `clipvalue`, `global_clipnorm`.
        weight_decay: The optimizer's decoupled decay, or None.
        learning_rate: The optimizer's learning rate, or None.
        trained: Why the model looks trained, or None when it does not.
        decayed_vectors: Paths of the biases, scales and offsets on which the optimizer's decay works.
    """

    params: int
    parameter_shares: Mapping[Kind, float]
    flops_shares: Mapping[Kind, float]
    family: Kind
    heads: tuple[Head, ...]
    task: str
    compiled: bool
    optimizer: str | None
    momentum: float
    clipping: Mapping[str, float]
    weight_decay: float | None
    learning_rate: LearningRate | None
    trained: str | None
    decayed_vectors: tuple[str, ...] = ()


def model_facts(
    graph: ModelGraph, layers: Mapping[str, LayerFacts], task: str | None, trained: bool | None
) -> ModelFacts:
    """Facts about the whole model.

    Args:
        graph: The model's graph.
        layers: Facts of every leaf.
        task: As given to `advise`; inferred from heads and losses when None.
        trained: As given to `advise`; inferred from moving averages and the optimizer when None.

    Returns:
        The facts.
    """
    arguments = compile_arguments(graph.model)
    optimizer = getattr(graph.model, "optimizer", None)
    # Under mixed float16 Keras wraps the optimizer in one that scales the loss.
    optimizer = getattr(optimizer, "inner_optimizer", optimizer)
    heads = tuple(_heads(graph, layers, per_output(graph, arguments.get("loss"))))
    flops = _shares({path: facts.flops for path, facts in layers.items()}, layers)
    return ModelFacts(
        params=sum(int(np.prod(weight.shape)) for weight in graph.model.weights),
        parameter_shares=_shares(_params_once(graph, layers), layers),
        flops_shares=flops,
        family=max(FAMILIES, key=lambda family: flops[family]),
        heads=heads,
        task=task or _infer_task(heads, layers),
        compiled=bool(arguments),
        optimizer=type(optimizer).__name__ if optimizer is not None else None,
        momentum=float(getattr(optimizer, "momentum", None) or 0.0),
        clipping={name: limit for name in _CLIPPING if (limit := getattr(optimizer, name, None)) is not None},
        weight_decay=getattr(optimizer, "weight_decay", None) or None,
        learning_rate=learning_rate(optimizer),
        trained=_trained_because(graph, layers, trained, optimizer),
        decayed_vectors=tuple(
            variable.path
            for variable in graph.model.trainable_variables
            if variable.name in _VECTORS and decays(optimizer, variable)
        ),
    )


_VECTORS = frozenset({"bias", "gamma", "beta"})


def _params_once(graph: ModelGraph, layers: Mapping[str, LayerFacts]) -> dict[str, int]:
    return {path: facts.params for path, facts in layers.items() if graph.is_first_call(path)}


def _shares(amounts: Mapping[str, int], layers: Mapping[str, LayerFacts]) -> dict[Kind, float]:
    totals = dict.fromkeys(FAMILIES, 0)
    for path, amount in amounts.items():
        kind = Kind.CONV if layers[path].kind is Kind.DEPTHWISE else layers[path].kind
        if kind in totals:
            totals[kind] += amount
    whole = sum(totals.values())
    return {kind: amount / whole if whole else 0.0 for kind, amount in totals.items()}


def per_output(graph: ModelGraph, setting: Any) -> list[Any]:
    """An argument of `compile`, `loss` or `loss_weights`, for each output in flat order.

    Args:
        graph: The model's graph.
        setting: One value for all outputs, a list or a dict by output name.

    Returns:
        As many values as there are outputs, None where there is none for an output.
    """
    count = len(graph.outputs)
    if setting is None:
        return [None] * count
    if isinstance(setting, Mapping):
        functional = functional_form(graph.model)
        outputs = None if functional is None else output_structure(functional)
        if isinstance(outputs, Mapping):
            # The keys of a dict of outputs name the losses, in the flat order of the dict.
            values = keras.tree.flatten({key: setting.get(key) for key in outputs})
        else:
            values = [setting.get(name) for name in getattr(graph.model, "output_names", None) or []]
        return values if len(values) == count else [None] * count
    if isinstance(setting, (list, tuple)):
        return list(setting) if len(setting) == count else [None] * count
    return [setting] * count


def _describe_loss(loss: Any) -> Loss | None:
    if loss is None:
        return None
    if isinstance(loss, str):
        loss = keras.losses.get(loss)
    if isinstance(loss, keras.losses.Loss):
        config = loss.get_config()
        smoothing = float(config.get("label_smoothing") or 0.0)
        return Loss(type(loss).__name__, config.get("from_logits"), configurable=True, label_smoothing=smoothing)
    name = getattr(loss, "__name__", type(loss).__name__)
    # The functions behind the strings take the same default as the classes.
    known = _LOSS_FUNCTIONS.get(name)
    return Loss(known, from_logits=False, configurable=True) if known else Loss(name, None, configurable=False)


_LOSS_FUNCTIONS = {
    "categorical_crossentropy": "CategoricalCrossentropy",
    "sparse_categorical_crossentropy": "SparseCategoricalCrossentropy",
    "binary_crossentropy": "BinaryCrossentropy",
    "binary_focal_crossentropy": "BinaryFocalCrossentropy",
    "categorical_focal_crossentropy": "CategoricalFocalCrossentropy",
}


def _heads(graph: ModelGraph, layers: Mapping[str, LayerFacts], losses: list[Any]) -> list[Head]:
    heads = []
    for position, source in enumerate(graph.outputs):
        activation, path = None, source.path
        while layers[path].kind not in LINEAR_KINDS:
            if activation is None:
                activation = layers[path].activation
            if layers[path].kind not in _PASSED_BY_HEADS or len(graph.producers(path)) != 1:
                break
            path = graph.producers(path)[0]
        linear = path if layers[path].kind in LINEAR_KINDS else None
        if linear and activation is None:
            activation = layers[linear].activation
        shape = layers[source.path].output_shape
        heads.append(
            Head(
                position,
                source.path,
                linear,
                activation,
                shape[-1] if shape else None,
                _describe_loss(losses[position]),
            )
        )
    return heads


_PASSED_BY_HEADS = frozenset({Kind.ACTIVATION, Kind.DROPOUT, Kind.RESHAPE, Kind.NORM, Kind.OTHER, Kind.POOLING})


def _infer_task(heads: tuple[Head, ...], layers: Mapping[str, LayerFacts]) -> str:
    if not heads:
        return "regression"
    head = heads[0]
    shape = layers[head.path].output_shape
    loss = head.loss.name if head.loss else ""
    classifies = head.activation in {"softmax", "log_softmax", "sigmoid"} or "rossentropy" in loss
    if len(shape) >= 4:
        # Pixels from 0 to 1, as autoencoders make them, and no classes.
        classifies = classifies and not (head.activation == "sigmoid" and loss in ERROR_LOSSES)
        images_out = head.activation == "tanh" or (head.units in (1, 3) and not classifies)
        return "segmentation" if classifies else "image_to_image" if images_out else "regression"
    if len(shape) == 3:
        return "sequence"
    return "classification" if classifies else "regression"


def _trained_because(
    graph: ModelGraph, layers: Mapping[str, LayerFacts], trained: bool | None, optimizer: Any
) -> str | None:
    if trained is not None:
        return "trained=True was given" if trained else None
    iterations = getattr(optimizer, "iterations", None)
    # Not by `int(iterations)`, which a variable with a copy on every replica refuses.
    if iterations is not None and (steps := int(keras.ops.convert_to_numpy(iterations))) > 0:
        return f"its optimizer has taken {steps} steps"
    for path, facts in layers.items():
        moved = facts.moved
        if moved is not None:
            return f"the {moved} of `{path}` has left its initial value"
    return None
