"""E704: what LiteRT has no operator for."""

from __future__ import annotations

from collections.abc import Iterator

import keras
from keras import layers

from advisor.facts import Facts
from advisor.rules.base import Case, Rule
from advisor.rules.export.flex_operators import flex_operator
from advisor.rules.finding import Confidence, Finding, Severity
from advisor.rules.registry import rule

MOBILE = {"target": "mobile"}


def _image(*steps: keras.Layer) -> keras.Model:
    return keras.Sequential([keras.Input((8, 8, 3)), *steps, layers.Flatten(), layers.Dense(2)])


def _volume(pooling: keras.Layer) -> keras.Model:
    return keras.Sequential([keras.Input((4, 4, 4, 2)), pooling, layers.Flatten(), layers.Dense(2)])


def _operation(function: object) -> keras.Model:
    inputs = keras.Input((6,))
    return keras.Model(inputs, layers.Dense(2)(function(inputs)))  # type: ignore[operator]


@rule
class FlexOperator(Rule):
    """A layer needs an operator that LiteRT does not have.

    What it does:
        For `target="mobile"`, finds layers and `keras.ops` operations whose conversion needs an operator of TensorFlow:
        three-dimensional pooling, bicubic and Lanczos interpolation, tables of tokens, Fourier transforms, linear
        algebra, functions such as `tan`. What layers do that are written in Python is not known.

    Why it matters:
        The conversion fails, or the app must link the Flex delegate, TensorFlow's own kernels: megabytes more, and no
        accelerator takes them.

    Example:
        ```python
        layers.Resizing(96, 96, interpolation="bicubic")
        ```

    Fix:
        None: the message names what can stand in its place. Changing it changes the function.
    """

    code = "E704"
    name = "flex-operator"
    severity = Severity.WARNING
    references = ("litert-operators",)
    confidence = Confidence.CITED

    VALID = (
        Case("bilinear interpolation", lambda: _image(layers.Resizing(4, 4)), MOBILE),
        Case("not for mobile", lambda: _image(layers.Resizing(4, 4, interpolation="bicubic"))),
        Case("a convolution in three dimensions", lambda: _volume(layers.Conv3D(2, 2, strides=2)), MOBILE),
        Case("a GELU", lambda: _operation(keras.ops.gelu), MOBILE),
    )
    INVALID = (
        Case("bicubic interpolation", lambda: _image(layers.Resizing(4, 4, interpolation="bicubic")), MOBILE),
        Case("enlarging by Lanczos' method", lambda: _image(layers.UpSampling2D(2, interpolation="lanczos3")), MOBILE),
        Case("three-dimensional pooling", lambda: _volume(layers.MaxPooling3D()), MOBILE),
        Case("an operation", lambda: _operation(keras.ops.erf), MOBILE),
    )

    def check(self, facts: Facts) -> Iterator[Finding]:
        if facts.target != "mobile":
            return
        for layer in facts.layers.values():
            flex = flex_operator(layer)
            if flex is not None and facts.graph.is_first_call(layer.path):
                yield self.finding(
                    layer,
                    message=f"`{layer.path}` ({layer.cls.__name__}) needs TensorFlow's {flex.operator}, which LiteRT "
                    f"does not have; in its place: {flex.replacement}",
                    why="The conversion fails unless the app links the Flex delegate, and that has the operator.",
                )
