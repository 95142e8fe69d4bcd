"""R301: a regularizer set after the layer was built."""

from __future__ import annotations

from collections.abc import Iterator

import keras
from keras import layers

from advisor.facts import Facts
from advisor.graph import Configure
from advisor.rules.base import Case, Rule
from advisor.rules.finding import Finding, Fix, Severity
from advisor.rules.registry import rule


def _stack(last: keras.Layer) -> keras.Model:
    return keras.Sequential([keras.Input((6,)), layers.Dense(4, activation="relu"), last])


def _bound() -> keras.Model:
    return _stack(layers.Dense(2, kernel_regularizer=keras.regularizers.L2(1e-4)))


def _set_late(attribute: str = "kernel_regularizer") -> keras.Model:
    model = _stack(layers.Dense(2))
    setattr(model.layers[-1], attribute, keras.regularizers.L2(1e-4))
    return model


def _set_late_and_bound_by_hand() -> keras.Model:
    model = _set_late()
    model.layers[-1].kernel.regularizer = model.layers[-1].kernel_regularizer
    return model


def _set_late_on_frozen() -> keras.Model:
    model = _set_late()
    model.layers[-1].trainable = False
    return model


def _backbone(late: bool) -> keras.Model:
    regularizer = keras.regularizers.L2(1e-4)
    conv = layers.Conv2D(4, 3, kernel_regularizer=None if late else regularizer)
    inner = keras.Sequential([keras.Input((8, 8, 3)), conv], name="backbone")
    if late:
        conv.kernel_regularizer = regularizer
    return keras.Sequential([keras.Input((8, 8, 3)), inner, layers.GlobalAveragePooling2D(), layers.Dense(2)])


@rule
class DeadRegularizer(Rule):
    """A regularizer that was set after the layer was built adds nothing to the loss.

    What it does:
        Finds layers whose `kernel_regularizer`, `bias_regularizer` and the like are set while the variable itself has
        none.

    Why it matters:
        Keras hands a regularizer to the variable when it creates it. Setting the attribute later, as is often done to
        add L2 to a pretrained backbone, changes what `get_config()` says but adds no loss: the model trains without the
        penalty, silently.

    Example:
        ```python
        for layer in backbone.layers:
            layer.kernel_regularizer = keras.regularizers.L2(1e-4)  # backbone.losses stays empty
        ```

    Fix:
        Makes the layer anew from its own arguments, weights kept, so that the penalty is bound to the variable.
        Safety: retrain.
    """

    code = "R301"
    name = "dead-regularizer"
    severity = Severity.ERROR
    references = ("keras-8413",)

    VALID = (
        Case("a regularizer given to the constructor", _bound),
        Case("no regularizer", lambda: _stack(layers.Dense(2))),
        Case("a regularizer bound to the variable by hand", _set_late_and_bound_by_hand),
        Case("a frozen layer, whose penalty would not count", _set_late_on_frozen),
        Case(
            "a bias regularizer without a bias", lambda: _stack(layers.Dense(2, use_bias=False, bias_regularizer="l2"))
        ),
    )
    INVALID = (
        Case("a kernel regularizer set after build", _set_late, expected=_bound),
        Case(
            "a bias regularizer set after build",
            lambda: _set_late("bias_regularizer"),
            expected=lambda: _stack(layers.Dense(2, bias_regularizer=keras.regularizers.L2(1e-4))),
        ),
        Case(
            "a pretrained backbone regularized afterwards",
            lambda: _backbone(late=True),
            expected=lambda: _backbone(late=False),
        ),
    )

    def check(self, facts: Facts) -> Iterator[Finding]:
        for layer in facts.layers.values():
            dead = layer.unbound_regularizers
            if not dead or not layer.trainable or not facts.graph.is_first_call(layer.path):
                continue
            names = " and ".join(f"`{name}`" for name in dead)
            yield self.finding(
                layer,
                message=f"`{layer.path}` has a {names} that its variables do not know of: 0 penalties in the loss",
                why="It was set after the layer was built, when Keras had already created the variables.",
                fix=Fix(f"bind the {names} of `{layer.path}`", (Configure(layer.path, {}),), "retrain"),
            )
