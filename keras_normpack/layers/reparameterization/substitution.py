"""Calls a layer with other values in place of some of its variables."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import keras


@dataclass(frozen=True)
class Substituted:
    """What came of a call with substituted variables.

    Args:
        layer: The layer that was called.
        outputs: What it returned.
        losses: What it and its parts gave to `add_loss`, activity penalties included.
        updates: Variables it assigned, with their new values.
    """

    layer: keras.layers.Layer
    outputs: Any
    losses: tuple[Any, ...]
    updates: tuple[tuple[Any, Any], ...]

    def carry_out(self) -> Any:
        """Assigns the updates, records the losses with the layer and returns the outputs."""
        for variable, value in self.updates:
            variable.assign(value)
        for loss in self.losses:
            self.layer.add_loss(loss)
        return self.outputs


def call_with(
    layer: keras.layers.Layer, substitutes: Sequence[tuple[Any, Any]], inputs: Any, **arguments: Any
) -> Substituted:
    """Calls a built layer with other values in place of some of its variables, without changing anything.

    Args:
        layer: The layer to call.
        substitutes: Variables of the layer, each with the tensor to use in its place; gradients flow to the tensors.
        inputs: What to call the layer on.
        **arguments: Further arguments of the call, such as `mask`.

    Returns:
        The outputs, and the losses and variable updates of the call, which have not been carried out.
    """
    substituted = {id(variable) for variable, _ in substitutes}
    variables = [*layer.variables, *_sequence_states(layer)]
    kept = [variable for variable in variables if id(variable) not in substituted]
    # A stateless scope hides the one around it, so current values are handed in: a trainer may run in such a scope.
    scope = keras.StatelessScope(
        [*substitutes, *((variable, variable.value) for variable in kept)],
        collect_losses=True,
        initialize_variables=False,
    )
    before = [scope.get_current_value(variable) for variable in kept]
    with scope:
        outputs = layer(inputs, **arguments)
    after = [scope.get_current_value(variable) for variable in kept]
    updates = [(variable, new) for variable, old, new in zip(kept, before, after, strict=True) if new is not old]
    return Substituted(layer, outputs, tuple(scope.losses), tuple(updates))


def _sequence_states(layer: keras.layers.Layer) -> list[Any]:
    """Lists what stateful recurrent layers carry from batch to batch, which Keras leaves out of `variables`."""
    return keras.tree.flatten(layer.states or ()) if getattr(layer, "stateful", False) else []
