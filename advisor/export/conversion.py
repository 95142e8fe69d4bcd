"""A prepared model on its way to TFLite, held against the Keras model it came from."""

from __future__ import annotations

from dataclasses import dataclass

import keras

from advisor.export.convert import LayerOperator, convert, float_operators, quantize
from advisor.export.diagnosis import conversion_blamed, preparation_blamed
from advisor.export.errors import ExportError
from advisor.export.flex import flex_layers
from advisor.export.input_ranges import unequal_ranges
from advisor.export.layer_errors import LayerError, layer_errors, preparation_errors
from advisor.export.layer_scopes import read_layer_scopes
from advisor.export.prepare import Prepared
from advisor.export.samples import Samples
from advisor.export.signature import Signature
from advisor.export.verify import (
    Difference,
    Limit,
    Outputs,
    check,
    difference,
    keras_outputs,
    limit_for,
    litert_outputs,
)
from advisor.litert.interpreter import LiteRTModel
from advisor.litert.lowering import Lowering, lowered
from advisor.litert.operators import flex_operators, operator_table
from advisor.litert.quantization import CALIBRATED, Quantization


@dataclass(frozen=True, eq=False)
class Conversion:
    """What is converted, and what it is held against.

    Attributes:
        given: The model as it was given.
        prepared: Its prepared copy.
        lowering: The forms of its layers.
        signature: Its inputs.
        samples: Inputs to verify on.
        expected: What the model as it was given returns for them.
        allow_flex: Whether operators that LiteRT lacks may be left to TensorFlow's.
    """

    given: keras.Model
    prepared: Prepared
    lowering: Lowering
    signature: Signature
    samples: Samples
    expected: Outputs
    allow_flex: bool

    def in_float(self) -> bytes:
        """The model in float32."""
        with lowered(self.prepared.model, self.lowering):
            return convert(self.prepared.model, self.signature, self.expected.names, allow_flex=self.allow_flex)

    def quantized(self, in_float: bytes, quantization: Quantization) -> bytes:
        """The model in a precision below; `in_float` is what it is in float32."""
        model, names = self.prepared.model, self.expected.names
        with lowered(model, self.lowering):
            return quantize(model, self.signature, names, quantization, in_float, allow_flex=self.allow_flex)

    def float_operators(self, flatbuffer: bytes) -> tuple[LayerOperator, ...]:
        """The operators of a quantized model that compute in float."""
        with lowered(self.prepared.model, self.lowering):
            return float_operators(self.prepared.model, self.signature, self.expected.names, flatbuffer)

    def flex_layers(self, flatbuffer: bytes) -> dict[str, tuple[str, ...]]:
        """The operators of a converted model that need the Flex delegate, with the layers that they compute."""
        if not flex_operators(operator_table(flatbuffer)):
            return {}
        with lowered(self.prepared.model, self.lowering):
            return flex_layers(flatbuffer, read_layer_scopes(self.prepared.model, self.signature, self.expected.names))

    def layer_errors(self, quantization: Quantization | None) -> tuple[LayerError, ...]:
        """How far every layer is from Keras in a precision, None for float32."""
        return layer_errors(
            self.prepared.model,
            self.signature,
            self.samples,
            self.expected.names,
            lowering=self.lowering,
            quantization=quantization,
            allow_flex=self.allow_flex,
        )

    def input_advice(self, quantization: Quantization | None) -> tuple[str, ...]:
        """What the inputs call for in a precision, None for float32."""
        calibrated = quantization is not None and quantization.precision in CALIBRATED
        return unequal_ranges(self.samples) if calibrated else ()

    def verify(self, flatbuffer: bytes, limit: Limit, quantization: Quantization | None) -> tuple[Outputs, Difference]:
        """Runs a converted model on the samples and refuses it where it is too far from Keras.

        Args:
            flatbuffer: The converted model.
            limit: How far it may be.
            quantization: Its precision; None for float32.

        Returns:
            What it returned, and how far that is from Keras.

        Raises:
            ExportError: If it is too far; what is at fault is named.
        """
        received = litert_outputs(LiteRTModel(flatbuffer), self.signature, self.samples, self.expected.names)
        found = difference(self.expected, received)
        check(found, limit, lambda: self._explanation(limit, quantization))
        return received, found

    def _explanation(self, limit: Limit, quantization: Quantization | None) -> str:
        """Where too large a difference comes from."""
        in_keras = limit_for(None, None)
        model = self.prepared.model
        try:
            prepared = keras_outputs(model, self.signature, self.samples)
            if not in_keras.holds_for(difference(self.expected, prepared)):
                errors = preparation_errors(self.given, model, self.signature, self.samples, self.expected.names)
                return preparation_blamed(errors, in_keras, self.prepared.done)
            blamed = conversion_blamed(self.layer_errors(quantization), limit, self.lowering)
            return " ".join([blamed, *(f"The {line}." for line in self.input_advice(quantization))])
        except ExportError as error:
            return f"Which layer it comes from is not known: {error}."
