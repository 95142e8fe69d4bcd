"""Fresh copies of layers, without weights."""

from __future__ import annotations

import copy
import inspect
from collections.abc import Iterable, Mapping
from typing import Any

import keras

from advisor.graph import keras_internals as internals
from advisor.rewrite.errors import RewriteError, UncopyableError


def clone_layer(layer: Any, changes: Mapping[str, Any] | None = None) -> Any:
    """A new layer of the same class and arguments, some of them changed.

    Args:
        layer: The layer to copy.
        changes: Constructor arguments to change; for a wrapper, those of the innermost layer.

    Returns:
        The new layer, not built.

    Raises:
        UncopyableError: If the layer cannot be made from its configuration.
        RewriteError: If it cannot be made with the changes.
    """
    if not isinstance(layer, keras.Layer):
        return internals.bare_copy(layer)
    new = _made_anew(layer, changes or {})
    _carry_identity(layer, new)
    return new


def _made_anew(layer: Any, changes: Mapping[str, Any]) -> Any:
    try:
        config = layer.get_config()
    except Exception as error:
        raise UncopyableError(
            f"`{layer.name}` ({type(layer).__name__}) cannot be copied, as its `get_config()` fails: {error} "
            "Add a `get_config` that returns every argument of its `__init__`."
        ) from error
    config = _changed(config, layer, changes)
    try:
        return type(layer).from_config(copy.deepcopy(config))
    except Exception as first_error:
        # A Lambda, or an argument that is a plain function, cannot be restored from its name alone.
        try:
            return type(layer)(**_with_live_objects(config, layer, changes))
        except Exception:
            raise (RewriteError if changes else UncopyableError)(
                f"`{layer.name}` ({type(layer).__name__}) cannot be made from its own configuration: {first_error} "
                "Its `__init__` must accept what its `get_config` returns."
            ) from first_error


def clone_input(layer: Any) -> Any:
    """A new `InputLayer` like the given one."""
    new = type(layer).from_config(layer.get_config())
    # Neither is in its configuration, and what is put in behind an input computes in its precision.
    new.dtype_policy, new.trainable = layer.dtype_policy, layer.trainable
    return new


def custom_objects(operations: Iterable[Any]) -> dict[str, type]:
    """Layer classes that are not Keras's own, by name, so that wrappers around them can be restored."""
    found = {}
    for operation in operations:
        if isinstance(operation, keras.Layer):
            for layer in internals.layer_tree(operation):
                if type(layer).__module__.split(".")[0] != "keras":
                    found[type(layer).__name__] = type(layer)
    return found


def _carry_identity(old: Any, new: Any) -> None:
    """Names and precisions that no configuration tells: of layers that a hand-written one makes in its `__init__`."""
    new.name = old.name
    if new.dtype_policy != old.dtype_policy:
        new.dtype_policy = old.dtype_policy
    hidden = (
        [part for part in internals.direct_sublayers(layer) if not isinstance(part, keras.layers.InputLayer)]
        for layer in (old, new)
    )
    # The original may hold more: those it made when it was built.
    for old_part, new_part in zip(*hidden, strict=False):
        if type(old_part) is type(new_part):
            _carry_identity(old_part, new_part)


def _changed(config: dict[str, Any], layer: Any, changes: Mapping[str, Any]) -> dict[str, Any]:
    if not changes:
        return config
    if internals.wrapped_layers(layer):
        inner = internals.wrapped_layers(layer)[0]
        for key in ("layer", "backward_layer"):
            if config.get(key) is not None:
                config = {**config, key: {**config[key], "config": _changed(config[key]["config"], inner, changes)}}
        return config
    unknown = set(changes) - set(config)
    if unknown:
        raise RewriteError(
            f"`{layer.name}` ({type(layer).__name__}) has no argument {', '.join(sorted(unknown))}. "
            f"Its arguments: {', '.join(sorted(config))}"
        )
    return {**config, **changes}


def _with_live_objects(config: Mapping[str, Any], layer: Any, changes: Mapping[str, Any]) -> dict[str, Any]:
    """Arguments with the layer's own functions and objects in place of their serialized forms.

    Without the arguments of every layer where its `__init__` does not take them; they are carried over by themselves.
    """
    live = {
        key: getattr(layer, key)
        for key, value in config.items()
        if key not in changes and isinstance(value, (dict, str)) and callable(getattr(layer, key, None))
    }
    taken = inspect.signature(type(layer)).parameters
    takes_all = any(parameter.kind is parameter.VAR_KEYWORD for parameter in taken.values())
    left_out = {"trainable"} if takes_all else {"trainable", "name", "dtype"} - set(taken)
    kept = {key: value for key, value in config.items() if key not in left_out}
    return {**kept, **live}
