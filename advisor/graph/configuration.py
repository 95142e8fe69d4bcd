"""Which layers of a model or layer stand in its configuration, and so in what is saved of it."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping
from typing import Any

import keras

from advisor.graph import keras_internals as internals


def held_layers(owner: Any) -> list[Any]:
    """The layers that a model or layer was given, and that its configuration tells.

    A layer that the constructor makes itself is not among them: what is saved does not hold it, and loading makes
    the one again that the code says.

    Args:
        owner: A model or layer.

    Returns:
        Those of the layers it holds itself that can be told apart in its configuration.
    """
    if not has_code(owner):
        return []
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            config = keras.saving.serialize_keras_object(owner)["config"]
    except Exception:
        return []  # a class that does not tell its configuration
    entries = [_identity(entry) for entry in entries_of(config)]
    sublayers = internals.direct_sublayers(owner)
    names = [_name_of(layer) for layer in sublayers]
    return [
        layer
        for layer, name in zip(sublayers, names, strict=True)
        if entries.count(name) == 1 and names.count(name) == 1
    ]


def entries_of(config: Any) -> Iterator[dict[str, Any]]:
    """The serialized layers directly inside a configuration, not those inside them."""
    if isinstance(config, Mapping):
        if isinstance(config.get("config"), Mapping) and "class_name" in config:
            yield config  # type: ignore[misc]
            return
        config = list(config.values())
    if isinstance(config, (list, tuple)):
        for item in config:
            yield from entries_of(item)


def is_entry_of(entry: Mapping[str, Any], layer: Any) -> bool:
    """Whether a serialized layer is the given one."""
    return _identity(entry) == _name_of(layer)


def has_code(owner: Any) -> bool:
    """Whether a class of its own, or a wrapper, makes the calls of what it holds."""
    return not (isinstance(owner, keras.Model) and internals.rebuilds_from_graph(owner))


def _identity(entry: Mapping[str, Any]) -> tuple[str, Any]:
    return entry["class_name"], entry["config"].get("name")


def _name_of(layer: Any) -> tuple[str, Any]:
    return type(layer).__name__, layer.name
