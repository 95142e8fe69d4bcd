"""E703: recurrent layers, which LiteRT takes for a fixed batch size only."""

from __future__ import annotations

from collections.abc import Iterator

import keras
from keras import layers

from advisor.facts import Facts, Kind
from advisor.rules.base import Case, Rule
from advisor.rules.finding import Confidence, Finding, Severity
from advisor.rules.registry import rule

MOBILE = {"target": "mobile"}


def _sequence(layer: keras.Layer, batch: int | None = None) -> keras.Model:
    return keras.Sequential([keras.Input((6, 4), batch_size=batch), layer, layers.Dense(2)])


@rule
class RecurrentWithOpenBatch(Rule):
    """A recurrent layer cannot be converted while the batch size is open.

    What it does:
        For `target="mobile"`, lists the recurrent layers of a model whose batch size is not fixed, those that are
        unrolled left out.

    Why it matters:
        The loop over time collects its outputs in a list, for which TensorFlow's converter must know the shape of every
        element, the batch included. With an open batch size it asks for TensorFlow's own `TensorListReserve` (the Flex
        delegate) and fails.

    Example:
        ```python
        keras.Sequential([keras.Input((100, 8)), layers.LSTM(32), layers.Dense(1)])
        ```

    Fix:
        None in the model: `export_tflite` converts with a fixed batch size, 1 unless told otherwise, and computes the
        layer in the form that LiteRT runs fastest: as LiteRT's LSTM operator, or as a loop that holds only what depends
        on the states. Sequences have one length there; shorter ones are padded, and masked by the model. With another
        converter fix the batch size in the signature.
    """

    code = "E703"
    name = "recurrent-with-open-batch"
    severity = Severity.INFO
    references = ("litert-rnn",)
    confidence = Confidence.CITED

    VALID = (
        Case("a fixed batch size", lambda: _sequence(layers.LSTM(3), batch=1), MOBILE),
        Case("unrolled", lambda: _sequence(layers.GRU(3, unroll=True)), MOBILE),
        Case("not for mobile", lambda: _sequence(layers.LSTM(3))),
        Case("no recurrence", lambda: _sequence(layers.GlobalAveragePooling1D()), MOBILE),
    )
    INVALID = (
        Case("an LSTM", lambda: _sequence(layers.LSTM(3)), MOBILE),
        Case("in both directions", lambda: _sequence(layers.Bidirectional(layers.GRU(3))), MOBILE),
        Case("a cell", lambda: _sequence(layers.RNN(layers.SimpleRNNCell(3))), MOBILE),
    )

    def check(self, facts: Facts) -> Iterator[Finding]:
        if facts.target != "mobile" or all(node.output_shapes[0][0] is not None for node in facts.graph.inputs):
            return
        loops = [
            layer
            for layer in facts.of_kind(Kind.RECURRENT)
            if not layer.config.get("unroll") and facts.graph.is_first_call(layer.path)
        ]
        if not loops:
            return
        which = f"`{loops[0].path}` loops" if len(loops) == 1 else f"{len(loops)} recurrent layers loop"
        yield self.finding(
            *loops,
            message=f"{which} over time, which LiteRT does for a fixed batch size only: export with batch 1, as "
            "`export_tflite` does",
            why="With an open batch size the conversion needs TensorFlow's lists of tensors, and fails without them.",
        )
