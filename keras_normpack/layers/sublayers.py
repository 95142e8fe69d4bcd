"""The layers a layer or model is made of."""

from typing import Any


def sublayers(layer: Any) -> list[Any]:
    """Lists a layer or model and all within it, however deep, each once.

    Args:
        layer: Any Keras layer or model.

    Returns:
        The layers, itself first.
    """
    # Keras has no public way to what is inside wrappers and layers of layers; `Model.layers` shows only the top.
    return list(layer._flatten_layers(include_self=True, recursive=True))
