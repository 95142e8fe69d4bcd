"""The compile state of a rewritten model: the old one's optimizer, losses and metrics, as fresh objects."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import keras

from advisor.graph import ConfigureLoss
from advisor.graph import keras_internals as internals
from advisor.graph.stored_model import holds_values


def carry_compile_state(old: Any, new: Any, loss_edits: Sequence[ConfigureLoss], old_of: Mapping[int, Any]) -> None:
    """Compile the new model as the old one is compiled; nothing happens when the old one is not.

    Args:
        old: The model that was rewritten.
        new: The rewritten model.
        loss_edits: Changes to losses.
        old_of: The old variable of each kept one, by `id` of the new, to carry the optimizer's state.
    """
    arguments = internals.compile_arguments(old)
    if not arguments:
        return
    try:
        arguments["optimizer"] = _fresh(_unscaled(old, arguments["optimizer"]))
    except Exception as error:
        # One optimizer cannot serve two models, so the original's own is no way out.
        warnings.warn(
            f"The new `{new.name}` is not compiled, since {type(old.optimizer).__name__} cannot be made from its own "
            f"configuration: {error} Compile it yourself, or give the optimizer a `get_config` that returns every "
            "argument of its `__init__`.",
            stacklevel=2,
        )
        return
    arguments = {**arguments, **by_new_names(arguments, old, new)}
    for key in ("metrics", "weighted_metrics"):
        arguments[key] = keras.tree.map_structure(_fresh_metric, arguments.get(key))
    arguments["loss"] = _changed_loss(arguments.get("loss"), new, loss_edits)
    new.compile(**arguments)
    _carry_optimizer_state(old, new, old_of)


def by_new_names(arguments: Mapping[str, Any], old: Any, new: Any) -> dict[str, Any]:
    """Arguments of `compile` that go by the names of output layers, by those of the new model.

    The only output may get another name, where a layer is put behind it or taken away.

    Args:
        arguments: Arguments by name.
        old: The model they were for.
        new: The model they are to be for.

    Returns:
        Those that are dicts by output, with the new names.
    """
    # A Sequential has no names for its output, so that nothing of it goes by them.
    renamed = dict(zip(_names_of_layers(old), _names_of_layers(new), strict=False))
    return {
        key: {renamed.get(name, name): value for name, value in arguments[key].items()}
        for key in ("loss", "loss_weights", "metrics", "weighted_metrics")
        if isinstance(arguments.get(key), Mapping)
    }


def _names_of_layers(model: Any) -> list[str]:
    """What `compile` calls the outputs, where those are names of layers and no keys of a dict."""
    functional = None if isinstance(model, keras.Sequential) else internals.functional_form(model)
    if functional is None or isinstance(internals.output_structure(functional), Mapping):
        return []
    return list(functional.output_names)


def _fresh(thing: Any) -> Any:
    """The same optimizer or metric without its state."""
    return type(thing).from_config(thing.get_config())


def _unscaled(model: Any, given: Any) -> Any:
    """The optimizer without the one that scales the loss, where Keras added that by itself, as it will again."""
    scales = keras.optimizers.LossScaleOptimizer
    if isinstance(model.optimizer, scales) and not isinstance(given, scales):
        return model.optimizer.inner_optimizer
    return model.optimizer


def _fresh_metric(metric: Any) -> Any:
    if not isinstance(metric, keras.metrics.Metric):
        return metric
    try:
        return _fresh(metric)
    except Exception:
        # A metric starts anew in every epoch, so that two models can take turns with one that cannot be copied.
        return metric


def _changed_loss(loss: Any, model: Any, edits: Sequence[ConfigureLoss]) -> Any:
    outputs = internals.output_structure(internals.functional_form(model)) if edits else None
    if edits and len(model.outputs) > 1 and not isinstance(loss, (Mapping, list, tuple)):
        # One loss for all outputs, of which only some are to be judged by another.
        loss = keras.tree.map_structure(lambda output: loss, outputs)
    for edit in edits:
        if isinstance(loss, Mapping):
            name = _output_names(model, outputs)[edit.output]
            loss = {**loss, name: _with_changes(loss[name], edit.changes)}
        elif isinstance(loss, (list, tuple)):
            loss = [
                _with_changes(item, edit.changes) if index == edit.output else item for index, item in enumerate(loss)
            ]
        else:
            loss = _with_changes(loss, edit.changes)
    return loss


def _output_names(model: Any, outputs: Any) -> list[str]:
    """What losses call the flat outputs: the keys of a dict of outputs, else the names of their layers."""
    if isinstance(outputs, Mapping):
        return list(keras.tree.flatten({key: key for key in outputs}))
    return list(model.output_names)


def _with_changes(loss: Any, changes: Mapping[str, Any]) -> Any:
    if not isinstance(loss, keras.losses.Loss):
        name = loss if isinstance(loss, str) else loss.__name__
        # `keras.losses.get` gives the function for a name; the class of that name takes the arguments.
        camel = "".join(part.capitalize() for part in name.split("_"))
        loss = getattr(keras.losses, camel)()
    return type(loss).from_config({**loss.get_config(), **changes})


def _carry_optimizer_state(old: Any, new: Any, old_of: Mapping[int, Any]) -> None:
    """Counters and scales always; moments only where every trained variable is the same as before."""
    if not getattr(old.optimizer, "built", False):
        return
    internals.build_optimizer(new.optimizer, new.trainable_variables)
    predecessors = [old_of.get(id(variable)) for variable in new.trainable_variables]
    same = [id(v) for v in predecessors] == [id(v) for v in old.trainable_variables]
    if same and _shapes(old.optimizer) == _shapes(new.optimizer):
        sources = list(old.optimizer.variables)
    else:
        scalars = {variable.path: variable for variable in old.optimizer.variables if len(variable.shape) == 0}
        sources = [scalars.get(v.path) if len(v.shape) == 0 else None for v in new.optimizer.variables]
    for target, source in zip(new.optimizer.variables, sources, strict=True):
        if source is not None:
            internals.initialize(target, source)
    if holds_values(old):
        internals.initialize_optimizer(new.optimizer)


def _shapes(optimizer: Any) -> list[tuple[int, ...]]:
    return [tuple(variable.shape) for variable in optimizer.variables]
