"""Layers recognized in the names that TensorFlow gives to what they compute."""

from __future__ import annotations

import re

import keras

from advisor.graph import keras_internals


def layer_names(model: keras.Model) -> frozenset[str]:
    """The names of all layers of a model, those inside others included."""
    return frozenset(layer.name for layer in keras_internals.layer_tree(model))


def layer_in(path: str, layers: frozenset[str]) -> str | None:
    """The innermost layer in a path of name scopes.

    Args:
        path: Scopes, the outermost first; TensorFlow numbers one that is entered again.
        layers: The names of the layers there are.

    Returns:
        The layer's name, or None where there is none.

    Example:
    >>> layer_in("net_1/block_1/act_1/Atanh", frozenset({"net", "block", "act"}))
    'act'
    """
    for segment in reversed(path.split("/")):
        for name in (segment, re.sub(r"_\d+$", "", segment)):
            if name in layers:
                return name
    return None
