"""A Keras model to TFLite flatbuffer bytes, and what the converter refuses in terms of layers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import keras

from advisor.export.errors import ExportError
from advisor.export.layer_names import layer_in, layer_names
from advisor.export.signature import Signature
from advisor.export.trace import trace
from advisor.litert.conversion import convert_function


@dataclass(frozen=True)
class UnsupportedOperator:
    """An operator that has no LiteRT kernel.

    Attributes:
        name: TensorFlow's name of the operator.
        layer: The layer that computes it, or the path of the call where no layer's name is found in it.
    """

    name: str
    layer: str

    def __str__(self) -> str:
        """The operator and its layer, as messages name them."""
        return f"{self.name} (layer '{self.layer}')"


def convert(model: keras.Model, signature: Signature, outputs: tuple[str, ...], *, allow_flex: bool = False) -> bytes:
    """Converts a model with static shapes and the signature `serve`.

    Args:
        model: A built model.
        signature: Its inputs.
        outputs: The names of its flat outputs.
        allow_flex: Whether operators without a LiteRT kernel may be left to TensorFlow's (Flex delegate).

    Returns:
        The flatbuffer.

    Raises:
        ExportError: If the model cannot be traced or converted; operators without a kernel are named with their layer.
    """
    traced = trace(model, signature, outputs)
    try:
        return convert_function(traced.function, allow_flex=allow_flex)
    except Exception as error:
        raise _conversion_error(model, error, allow_flex) from error


def _conversion_error(model: keras.Model, error: Exception, allow_flex: bool) -> ExportError:
    unsupported = _unsupported_operators(model, error)
    if not unsupported:
        return ExportError(f"TensorFlow's converter refused model '{model.name}'. Received: {error}")
    remedy = "Replace them by `keras.ops` that LiteRT has"
    if not allow_flex:
        remedy += ", or pass `allow_flex=True` if the app links the Flex delegate"
    return ExportError(
        f"Model '{model.name}' needs operators that LiteRT does not have. {remedy}. "
        f"Received: {', '.join(map(str, unsupported))}"
    )


def _unsupported_operators(model: keras.Model, error: Exception) -> tuple[UnsupportedOperator, ...]:
    """The operators a `ConverterError` complains about, each once."""
    layers = layer_names(model)
    found = [
        UnsupportedOperator(data.operator.name.removeprefix("tf."), _layer_in(data.location, layers))
        for data in getattr(error, "errors", [])
        if data.operator.name
    ]
    return tuple(dict.fromkeys(found))


def _layer_in(location: Any, layers: frozenset[str]) -> str:
    """The layer a location such as `net_1/block_1/act_1/Atanh@__inference_serve_7` lies in."""
    path = location.call[0].name.split("@")[0] if location.call else ""
    return layer_in(path, layers) or path
