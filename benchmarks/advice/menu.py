"""The menu: what can be changed about a model and its run, whether it is sensible or not.

Random fixes and the search choose from it. It holds every kind of change that the advice can make to these models, with
the values that people try, so that the advice differs from its rivals by what it chooses and by nothing else.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import keras
import keras.layers as kl
import numpy as np

import keras_normpack
from advisor.facts import Facts, Kind, LayerFacts, gather_facts
from advisor.graph import Configure, Edit, InsertAfter, LayerSpec, read_graph
from advisor.rewrite import add_dropout, add_regularizer, rebuild, replace_norm
from advisor.training import TrainingPlan
from benchmarks.advice.tasks import Task


@dataclass(frozen=True, eq=False)
class Draft:
    """A model and how it is to be trained.

    Attributes:
        model: A compiled model.
        plan: Its plan; one that changes nothing trains the model as it is.
    """

    model: keras.Model
    plan: TrainingPlan


Change = Callable[[Draft], Draft]

NORMS: Mapping[str, LayerSpec] = {
    "batch": LayerSpec(kl.BatchNormalization),
    "batch, momentum 0.9": LayerSpec(kl.BatchNormalization, {"momentum": 0.9}),
    "batch, renorm": LayerSpec(kl.BatchNormalization, {"renorm": True}),
    "group": LayerSpec(kl.GroupNormalization, {"groups": 8}),
    "layer": LayerSpec(kl.LayerNormalization),
}
LEARNING_RATES = (0.1, 0.3, 3.0, 10.0)
_HIDDEN = frozenset({Kind.CONV, Kind.DEPTHWISE, Kind.DENSE, Kind.RECURRENT})
_WEIGHTLESS = frozenset({Kind.ACTIVATION, Kind.DROPOUT, Kind.POOLING, Kind.RESHAPE})


def menu(task: Task) -> dict[str, dict[str, Change]]:
    """The changes that can be made for a task, by what they are about; at most one of each kind is made at once.

    Args:
        task: The task; what its model has not (a head of classes, labels to smooth) is not on its menu.

    Returns:
        Changes by kind and name, in the order in which they are made.
    """
    model = task.model()
    facts = gather_facts(read_graph(model))
    with_classes = task.unit == "accuracy" and facts.model.heads and (facts.model.heads[0].units or 0) > 1
    inputs = task.parts.train[0]
    dishes: dict[str, dict[str, Change]] = {
        "inputs": {"standardized": lambda draft: _standardized(draft, inputs)} if inputs.dtype.kind == "f" else {},
        "head": {"scores": _scores} if "logits" in task.mistake else {},
        "normalization": {name: _normalizing(spec) for name, spec in NORMS.items()},
        "dropout": {f"{rate}": _dropping(rate) for rate in (0.2, 0.5)},
        "penalty": {f"L2 {factor:g}": _penalizing(factor) for factor in (1e-4, 1e-3)},
        "weight decay": {f"{rate:g}": _planning(weight_decay=rate) for rate in (1e-4, 1e-2)},
        "learning rate": {f"× {factor:g}": _relearning(factor) for factor in LEARNING_RATES},
        "clipping": {"1.0": _planning(clipnorm=1.0)},
        "labels": {"smoothed": _planning(label_smoothing=0.1, classes=task.parts.classes)} if with_classes else {},
        "augmentation": _augmentations(task),
        "early stopping": {
            f"patience {patience}": _planning(
                early_stopping={"monitor": "val_loss", "patience": patience, "restore_best_weights": True}
            )
            for patience in (2, 5)
        },
        "statistics": {"recomputed": _planning(batch_statistics=True)},
        "plateau": {"halved": _planning(reduce_on_plateau={"monitor": "val_loss", "factor": 0.5, "patience": 2})},
    }
    return {kind: changes for kind, changes in dishes.items() if changes}


def changed(draft: Draft, task: Task, chosen: Mapping[str, str]) -> Draft:
    """A draft with chosen changes made.

    Args:
        draft: The model as written, with a plan that changes nothing.
        task: Its task.
        chosen: Names of changes by their kind.

    Returns:
        The changed draft.
    """
    for kind, changes in menu(task).items():
        if kind in chosen:
            draft = changes[chosen[kind]](draft)
    return draft


def with_norm(model: keras.Model, spec: LayerSpec) -> keras.Model:
    """A model with one normalization throughout: in the place of those it has, and behind every hidden layer without.

    Args:
        model: The model.
        spec: The normalization.

    Returns:
        A new model.
    """
    facts = gather_facts(read_graph(model))
    norms = [layer.path for layer in facts.of_kind(Kind.NORM)]
    if norms:
        model = replace_norm(model, spec.cls, layers=norms, **spec.config)
        facts = gather_facts(read_graph(model))
    heads = {head.linear for head in facts.model.heads}
    bare = [layer for layer in facts.of_kind(*_HIDDEN) if layer.path not in heads and not _is_normalized(facts, layer)]
    edits = [edit for layer in bare for edit in _normalized(layer, spec)]
    return rebuild(facts.graph, edits).model if edits else model


def _is_normalized(facts: Facts, layer: LayerFacts) -> bool:
    reader = facts.sole_consumer(layer.path)
    while reader is not None and reader.kind in _WEIGHTLESS:
        reader = facts.sole_consumer(reader.path)
    return reader is not None and reader.kind is Kind.NORM


def _normalized(layer: LayerFacts, spec: LayerSpec) -> tuple[Edit, ...]:
    if issubclass(spec.cls, kl.GroupNormalization):
        spec = LayerSpec(spec.cls, {**spec.config, "groups": int(np.gcd(spec.config["groups"], layer.channels or 1))})
    activation = layer.config.get("activation")
    if layer.kind is Kind.RECURRENT or activation in (None, "linear"):
        return (InsertAfter(layer.path, (spec,)),)
    behind = LayerSpec(kl.Activation, {"activation": activation})
    return Configure(layer.path, {"activation": None}), InsertAfter(layer.path, (spec, behind))


def _normalizing(spec: LayerSpec) -> Change:
    return lambda draft: replace(draft, model=with_norm(draft.model, spec))


def _dropping(rate: float) -> Change:
    """Dropout of a rate before the head; where the model has dropout layers, their rate instead."""

    def change(draft: Draft) -> Draft:
        facts = gather_facts(read_graph(draft.model))
        present = facts.of_kind(Kind.DROPOUT)
        if not present:
            return replace(draft, model=add_dropout(draft.model, rate))
        edits = [Configure(layer.path, {"rate": rate}) for layer in present]
        return replace(draft, model=rebuild(facts.graph, edits).model)

    return change


def _penalizing(factor: float) -> Change:
    return lambda draft: replace(draft, model=add_regularizer(draft.model, keras.regularizers.L2(factor)))


def _planning(**settings: object) -> Change:
    return lambda draft: replace(draft, plan=replace(draft.plan, **settings))


def _relearning(factor: float) -> Change:
    def change(draft: Draft) -> Draft:
        return replace(
            draft, plan=replace(draft.plan, learning_rate=factor * float(draft.model.optimizer.learning_rate))
        )

    return change


def _standardized(draft: Draft, inputs: np.ndarray) -> Draft:
    """Inputs at mean 0 and variance 1: of every column of a table, of all values of anything else."""
    axis = -1 if inputs.ndim == 2 else None
    over = 0 if inputs.ndim == 2 else None
    scaling = LayerSpec(
        kl.Normalization, {"axis": axis, "mean": inputs.mean(over).tolist(), "variance": inputs.var(over).tolist()}
    )
    graph = read_graph(draft.model)
    return replace(draft, model=rebuild(graph, [InsertAfter(graph.inputs[0].path, (scaling,))]).model)


def _scores(draft: Draft) -> Draft:
    """A head without activation, for a loss that expects logits."""
    facts = gather_facts(read_graph(draft.model))
    edits = [Configure(head.linear, {"activation": None}) for head in facts.model.heads]
    return replace(draft, model=rebuild(facts.graph, edits).model)


def _augmentations(task: Task) -> dict[str, Change]:
    """Random changes of the inputs, by what they are; none for tables and words."""
    x = task.parts.train[0]
    if x.ndim == 4:
        specs = (
            LayerSpec(kl.RandomFlip, {"mode": "horizontal"}),
            LayerSpec(kl.RandomTranslation, {"height_factor": 0.1, "width_factor": 0.1, "fill_mode": "nearest"}),
        )
    elif x.ndim == 3 and x.shape[-1] > 1:
        specs = (LayerSpec(keras_normpack.SpecAugment, {"time_warp": 0}),)
    elif x.ndim == 3:
        specs = (
            LayerSpec(keras_normpack.RandomScaling, {"stddev": 0.1}),
            LayerSpec(keras_normpack.RandomJitter, {"stddev": 0.03 * float(x.std())}),
        )
    else:
        return {}
    return {} if task.reconstructs else {"random": _planning(augmentation=specs, input_rank=x.ndim)}
