"""A Keras model to TFLite flatbuffer bytes, and what the converter refuses in terms of layers."""

from __future__ import annotations

from dataclasses import dataclass

import keras

from advisor.export.errors import ExportError
from advisor.export.layer_scopes import LayerScopes, read_layer_scopes
from advisor.export.signature import Signature
from advisor.export.trace import trace
from advisor.litert.conversion import convert_function
from advisor.litert.operators import LOOP, Operator, read_operators
from advisor.litert.quantization import CALIBRATED, INT8, Quantization


@dataclass(frozen=True)
class LayerOperator:
    """An operator and the layer that computes it.

    Attributes:
        name: The operator's name.
        layer: The layer, or the path of the operation where no layer is found for it.
    """

    name: str
    layer: str

    def __str__(self) -> str:
        """The operator and its layer, as messages name them."""
        return f"{self.name} (layer '{self.layer}')"


def convert(model: keras.Model, signature: Signature, outputs: tuple[str, ...], *, allow_flex: bool = False) -> bytes:
    """Converts a model in float32, with static shapes and the signature `serve`.

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
    return _converted(model, signature, outputs, allow_flex, None)


def quantize(
    model: keras.Model,
    signature: Signature,
    outputs: tuple[str, ...],
    quantization: Quantization,
    in_float: bytes,
    *,
    allow_flex: bool = False,
) -> bytes:
    """Converts a model in a precision below float32.

    Args:
        model: A built model.
        signature: Its inputs.
        outputs: The names of its flat outputs.
        quantization: The precision.
        in_float: What `convert` makes of the model. Calibration of a loop ends the process, so one is looked for there.
        allow_flex: As in `convert`.

    Returns:
        The flatbuffer.

    Raises:
        ExportError: If the model cannot be converted, holds a loop and is to be calibrated, or needs floats where none
            are allowed; operators are named with their layer.
    """
    if quantization.precision in CALIBRATED:
        _refuse_loops(model, signature, in_float, quantization.precision)
    exported = _converted(model, signature, outputs, allow_flex, quantization)
    if quantization.precision == INT8:
        _refuse_floats(model, signature, outputs, exported)
    return exported


def _converted(
    model: keras.Model,
    signature: Signature,
    outputs: tuple[str, ...],
    allow_flex: bool,
    quantization: Quantization | None,
) -> bytes:
    traced = trace(model, signature, outputs)
    try:
        return convert_function(traced.function, allow_flex=allow_flex, quantization=quantization)
    except Exception as error:
        raise _conversion_error(model, signature, error, allow_flex) from error


def float_operators(
    model: keras.Model, signature: Signature, outputs: tuple[str, ...], flatbuffer: bytes
) -> tuple[LayerOperator, ...]:
    """The operators of a quantized model that compute in float, each with its layer, once.

    Args:
        model: The model it was converted from, in the forms it was converted in.
        signature: The model's inputs.
        outputs: The names of its outputs.
        flatbuffer: The quantized model.
    """
    found = [operator for operator in read_operators(flatbuffer) if operator.computes_in_float]
    return _with_layers(found, read_layer_scopes(model, signature, outputs)) if found else ()


def _refuse_loops(model: keras.Model, signature: Signature, flatbuffer: bytes, precision: str) -> None:
    loops = [operator for operator in read_operators(flatbuffer) if operator.name == LOOP]
    if loops:
        found = _with_layers(loops, read_layer_scopes(model, signature))
        raise ExportError(
            f"Model '{model.name}' cannot be exported in {precision}: LiteRT reads no ranges inside loops. Build "
            "recurrent layers with `unroll=True`, or take quantize='dynamic', which needs no ranges. "
            f"Received: {', '.join(map(str, found))}"
        )


def _refuse_floats(model: keras.Model, signature: Signature, outputs: tuple[str, ...], flatbuffer: bytes) -> None:
    found = float_operators(model, signature, outputs, flatbuffer)
    if found:
        raise ExportError(
            f"Model '{model.name}' cannot be computed in int8 alone: LiteRT has no int8 kernel for some of its "
            "operators. Replace them, or take quantize='int8_float_fallback', which computes these in float. "
            f"Received: {', '.join(map(str, found))}"
        )


def _with_layers(operators: list[Operator], names: LayerScopes) -> tuple[LayerOperator, ...]:
    return tuple(dict.fromkeys(LayerOperator(operator.name, names.of(operator)) for operator in operators))


def _conversion_error(model: keras.Model, signature: Signature, error: Exception, allow_flex: bool) -> ExportError:
    unsupported = _unsupported_operators(model, signature, error)
    if not unsupported:
        return ExportError(f"TensorFlow's converter refused model '{model.name}'. Received: {error}")
    remedy = "Replace them by `keras.ops` that LiteRT has"
    if not allow_flex:
        remedy += ", or pass `allow_flex=True` if the app links the Flex delegate"
    return ExportError(
        f"Model '{model.name}' needs operators that LiteRT does not have. {remedy}. "
        f"Received: {', '.join(map(str, unsupported))}"
    )


def _unsupported_operators(model: keras.Model, signature: Signature, error: Exception) -> tuple[LayerOperator, ...]:
    """The operators a `ConverterError` complains about, each once."""
    refused = [data for data in getattr(error, "errors", []) if data.operator.name]
    if not refused:
        return ()
    names = read_layer_scopes(model, signature)
    found = []
    for data in refused:
        path = data.location.call[0].name.split("@")[0] if data.location.call else ""
        found.append(LayerOperator(data.operator.name.removeprefix("tf."), names.at(path) or path))
    return tuple(dict.fromkeys(found))
