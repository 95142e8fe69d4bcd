"""The compile state of a rewritten model: the old one's optimizer, losses and metrics, as fresh objects."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import keras

from advisor.graph import ConfigureLoss
from advisor.graph import keras_internals as internals


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
    arguments["optimizer"] = _fresh(old.optimizer)
    for key in ("metrics", "weighted_metrics"):
        arguments[key] = keras.tree.map_structure(_fresh, arguments.get(key))
    arguments["loss"] = _changed_loss(arguments.get("loss"), new, loss_edits)
    new.compile(**arguments)
    _carry_optimizer_state(old, new, old_of)


def _fresh(thing: Any) -> Any:
    """The same optimizer, metric or loss without its state; anything else as it is."""
    if isinstance(thing, (keras.optimizers.Optimizer, keras.metrics.Metric)):
        return type(thing).from_config(thing.get_config())
    return thing


def _changed_loss(loss: Any, model: Any, edits: Sequence[ConfigureLoss]) -> Any:
    for edit in edits:
        if isinstance(loss, dict):
            name = model.output_names[edit.output]
            loss = {**loss, name: _with_changes(loss[name], edit.changes)}
        elif isinstance(loss, (list, tuple)):
            loss = [
                _with_changes(item, edit.changes) if index == edit.output else item for index, item in enumerate(loss)
            ]
        else:
            loss = _with_changes(loss, edit.changes)
    return loss


def _with_changes(loss: Any, changes: Mapping[str, Any]) -> Any:
    if not isinstance(loss, keras.losses.Loss):
        name = loss if isinstance(loss, str) else loss.__name__
        # `keras.losses.get` gives the function for a name; the class of that name takes the arguments.
        camel = "".join(part.capitalize() for part in name.split("_"))
        loss = getattr(keras.losses, camel)()
    return type(loss).from_config({**loss.get_config(), **changes})


def _carry_optimizer_state(old: Any, new: Any, old_of: Mapping[int, Any]) -> None:
    """Step count always; moments only where every trained variable is the same as before."""
    if not getattr(old.optimizer, "built", False):
        return
    new.optimizer.build(new.trainable_variables)
    predecessors = [old_of.get(id(variable)) for variable in new.trainable_variables]
    same = [id(v) for v in predecessors] == [id(v) for v in old.trainable_variables]
    if same and len(old.optimizer.variables) == len(new.optimizer.variables):
        for target, source in zip(new.optimizer.variables, old.optimizer.variables, strict=True):
            target.assign(source)
    else:
        new.optimizer.iterations.assign(old.optimizer.iterations)
