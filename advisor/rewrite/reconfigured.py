"""Models and layers made anew by their own class, from their configuration with some of the layers in it exchanged."""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import keras

from advisor.graph import keras_internals as internals
from advisor.graph.configuration import is_entry_of
from advisor.rewrite.errors import RewriteError, UncopyableError

Exchange = tuple[Any, Any]
"""A layer and the one that takes its place."""


def reconfigured(owner: Any, exchanges: Sequence[Exchange]) -> Any:
    """A model or layer of the same class and configuration, with some of the layers that it holds exchanged.

    It is made as loading a saved one makes it, so that it can itself be saved and loaded.

    Args:
        owner: The model or layer.
        exchanges: Layers that its configuration holds, and what takes their places.

    Returns:
        The new model, built where the old one is; its weights are not carried over.

    Raises:
        UncopyableError: If it cannot be made from its configuration.
        RewriteError: If it cannot be made with the exchanged layers.
    """
    try:
        serialized = keras.saving.serialize_keras_object(owner)
    except Exception as error:
        raise UncopyableError(
            f"`{owner.name}` ({type(owner).__name__}) cannot be copied, as its `get_config()` fails: {error} "
            "Add a `get_config` that returns every argument of its `__init__`."
        ) from error
    entries = [(old, keras.saving.serialize_keras_object(new)) for old, new in exchanges]
    # The compile state is carried over by itself, with the optimizer's.
    wanted = {key: value for key, value in serialized.items() if key != "compile_config"}
    config = _exchanged(serialized["config"], entries)
    try:
        with _default_policy(owner), warnings.catch_warnings():
            # Keras warns of layers that it builds by their first call; they are called below, or the copy is refused.
            warnings.simplefilter("ignore")
            new = keras.saving.deserialize_keras_object({**wanted, "config": config}, safe_mode=False)
    except Exception as error:
        raise (RewriteError if exchanges else UncopyableError)(
            f"`{owner.name}` ({type(owner).__name__}) cannot be made from its own configuration: {error} "
            "Its `__init__` must accept what its `get_config` returns."
        ) from error
    return new


def counterparts(owner: Any, exchanges: Sequence[Exchange]) -> dict[int, Any]:
    """The layers that a reconfigured model really has for those that were put into its configuration, by `id`.

    Args:
        owner: The reconfigured model or layer.
        exchanges: As given to `reconfigured`.

    Returns:
        For every layer inside the new ones, its copy inside the model.

    Raises:
        RewriteError: If the class did not take them as they were given.
    """
    found: dict[int, Any] = {}
    for _, new in exchanges:
        entry = {"class_name": type(new).__name__, "config": {"name": new.name}}
        copies = [layer for layer in internals.direct_sublayers(owner) if is_entry_of(entry, layer)]
        trees = [internals.layer_tree(layer) for layer in [new, *copies]]
        if len(copies) != 1 or list(map(type, trees[0])) != list(map(type, trees[1])):
            raise RewriteError(
                f"`{owner.name}` ({type(owner).__name__}) was given a changed `{new.name}` and does not have it: its "
                "`__init__` must keep the layers that it is given."
            )
        found.update(zip(map(id, trees[0]), trees[1], strict=True))
    return found


def _exchanged(config: Any, exchanges: Sequence[tuple[Any, dict[str, Any]]]) -> Any:
    if isinstance(config, Mapping):
        if "class_name" in config and isinstance(config.get("config"), Mapping):
            return next((new for old, new in exchanges if is_entry_of(config, old)), config)
        return {key: _exchanged(value, exchanges) for key, value in config.items()}
    if isinstance(config, (list, tuple)):
        return [_exchanged(item, exchanges) for item in config]
    return config


@contextlib.contextmanager
def _default_policy(owner: Any) -> Iterator[None]:
    """The precision that layers get which a class makes without saying one, as when the original was made."""
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(owner.dtype_policy)
    try:
        yield
    finally:
        keras.config.set_dtype_policy(before)
