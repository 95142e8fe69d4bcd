"""E705: activations that lose accuracy in integers."""

from __future__ import annotations

from collections.abc import Iterator

import keras
from keras import layers

from advisor.facts import Facts
from advisor.rules.base import Case, Rule
from advisor.rules.finding import Finding, Severity
from advisor.rules.registry import rule

MOBILE = {"target": "mobile"}

REPLACEMENTS = {"silu": "hard_silu or relu6", "swish": "hard_silu or relu6", "gelu": "relu6", "mish": "hard_silu"}


def _conv(activation: str) -> keras.Model:
    stack = [layers.Conv2D(4, 3, activation=activation), layers.GlobalAveragePooling2D(), layers.Dense(2)]
    return keras.Sequential([keras.Input((8, 8, 3)), *stack])


@rule
class ActivationHardToQuantize(Rule):
    """Activations like swish and GELU can lose accuracy when the model is quantized to integers.

    What it does:
        For `target="mobile"`, lists the layers that apply swish (SiLU), GELU or Mish, one finding per function. It
        matters only for a model that is to be quantized to int8.

    Why it matters:
        The values below 0 are few and small beside a range above 0 that has no end, and 8 bits have to cover both. For
        EfficientNet-Lite all swish activations became ReLU6, since that made quantization after training much better;
        MobileNetV3 uses the hard swish for the same reason, and because it is faster.

        A small network bears it out in part only: for a separable CNN on Fashion-MNIST in int8 (three seeds, 10,000
        test images; `benchmarks.quantization`) swish lost 0.34, 0.52 and -0.15 points of accuracy, ReLU6 0.11, 0.04
        and 0.02, hard swish -0.18, 0.06 and 0.03, and GELU nothing: -0.15, -0.11 and 0.03. What a model of one's own
        loses, and in which layers, is in the report of `export_tflite(quantize="int8")`.

    Example:
        ```python
        layers.Conv2D(32, 3, activation="swish")
        ```

    Fix:
        None: another activation is another network, to be trained anew. `hard_silu` is one operator of LiteRT
        (`HARD_SWISH`), `relu6` goes into the convolution.
    """

    code = "E705"
    name = "activation-hard-to-quantize"
    severity = Severity.INFO
    references = ("efficientnet-lite", "howard-2019")

    VALID = (
        Case("ReLU", lambda: _conv("relu"), MOBILE),
        Case("hard swish", lambda: _conv("hard_silu"), MOBILE),
        Case("not for mobile", lambda: _conv("swish")),
    )
    INVALID = (
        Case("swish", lambda: _conv("swish"), MOBILE),
        Case("GELU", lambda: _conv("gelu"), MOBILE),
        Case("Mish", lambda: _conv("mish"), MOBILE),
    )

    def check(self, facts: Facts) -> Iterator[Finding]:
        if facts.target != "mobile":
            return
        found: dict[str, list[str]] = {}
        for layer in facts.layers.values():
            if layer.activation in REPLACEMENTS and facts.graph.is_first_call(layer.path):
                found.setdefault(layer.activation, []).append(layer.path)
        for activation, paths in found.items():
            which = f"`{paths[0]}` applies" if len(paths) == 1 else f"{len(paths)} layers apply"
            yield self.finding(
                *paths,
                message=f"{which} {activation}, which can lose accuracy when quantized to int8; "
                f"with that in mind train with {REPLACEMENTS[activation]}",
                why="8 bits must cover small negative values and a range above 0 that has no end.",
            )
