"""H602: activation, loss and `from_logits` disagree."""

from __future__ import annotations

from collections.abc import Iterator

import keras
from keras import layers

from advisor.facts import Facts, Head, Loss
from advisor.graph import ConfigureLoss
from advisor.rules.base import Case, Requirement, Rule
from advisor.rules.finding import Finding, Fix, Severity
from advisor.rules.heads.outputs import PROBABILITIES, output_function
from advisor.rules.registry import rule

_CATEGORICAL = frozenset({"CategoricalCrossentropy", "SparseCategoricalCrossentropy", "CategoricalFocalCrossentropy"})
_BINARY = frozenset({"BinaryCrossentropy", "BinaryFocalCrossentropy"})

# A softmax of log-probabilities gives the probabilities back, so they count as logits.
_LOGITS = frozenset({"linear", "log_softmax"})


def _model(*, activation: str | None, loss: str | keras.losses.Loss, units: int = 3) -> keras.Model:
    model = keras.Sequential([keras.Input((6,)), layers.Dense(units, activation=activation)])
    model.compile("sgd", loss)
    return model


def _ending_in_an_operation() -> keras.Model:
    inputs = keras.Input((6,))
    scores = keras.ops.square(layers.Dense(3)(inputs))
    model = keras.Model(inputs, scores / keras.ops.sum(scores, axis=-1, keepdims=True))
    model.compile("sgd", "categorical_crossentropy")
    return model


@rule
class HeadLossMismatch(Rule):
    """The last activation, the loss and its `from_logits` contradict each other.

    What it does:
        Compares what an output carries (probabilities after softmax or sigmoid, logits without an activation) with what
        its crossentropy expects, and the activation with the kind of crossentropy. Stays silent where an operation of
        unknown effect stands last.

    Why it matters:
        Probabilities taken for logits are squashed a second time: the loss of a perfect three-class prediction is 0.55
        instead of 0 and its gradients are small. On TensorFlow, Keras finds the logits behind a softmax or sigmoid that
        comes right before the loss, and warns; with JAX or torch, or with anything in between (a reshape, a cast to
        float32 in mixed precision), it does not. Logits taken for probabilities are clipped to [0, 1], and where they
        are clipped no gradient flows. Softmax with binary crossentropy, or sigmoid with categorical crossentropy,
        trains for another question than the one that was asked.

    Example:
        ```python
        model = keras.Sequential([keras.Input((6,)), layers.Dense(3, activation="softmax")])
        model.compile("adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True))  # already probabilities
        ```

    Fix:
        Compiles with the `from_logits` that the output calls for. Safety: retrain. An activation that does not belong
        to the kind of crossentropy is left to you, because only you know whether the classes exclude each other.
    """

    code = "H602"
    name = "head-loss-mismatch"
    severity = Severity.ERROR
    requires = frozenset({Requirement.GRAPH, Requirement.COMPILE})
    references = ("keras-losses",)

    VALID = (
        Case("softmax with probabilities", lambda: _model(activation="softmax", loss="categorical_crossentropy")),
        Case(
            "logits with `from_logits=True`",
            lambda: _model(activation=None, loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True)),
        ),
        Case(
            "log-probabilities, which a softmax maps to the probabilities",
            lambda: _model(activation="log_softmax", loss=keras.losses.CategoricalCrossentropy(from_logits=True)),
        ),
        Case("one unit with sigmoid", lambda: _model(activation="sigmoid", loss="binary_crossentropy", units=1)),
        Case("several labels at once", lambda: _model(activation="sigmoid", loss="binary_crossentropy")),
        Case("softmax under a squared error", lambda: _model(activation="softmax", loss="mean_squared_error")),
        Case("an operation of unknown effect before the output", _ending_in_an_operation),
        Case("not compiled", lambda: keras.Sequential([keras.Input((6,)), layers.Dense(3, activation="softmax")])),
    )
    INVALID = (
        Case(
            "softmax taken for logits",
            lambda: _model(activation="softmax", loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True)),
            expected=lambda: _model(activation="softmax", loss=keras.losses.SparseCategoricalCrossentropy()),
        ),
        Case(
            "sigmoid taken for logits",
            lambda: _model(activation="sigmoid", loss=keras.losses.BinaryCrossentropy(from_logits=True), units=1),
            expected=lambda: _model(activation="sigmoid", loss=keras.losses.BinaryCrossentropy(), units=1),
        ),
        Case(
            "logits taken for probabilities",
            lambda: _model(activation=None, loss="sparse_categorical_crossentropy"),
            expected=lambda: _model(activation=None, loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True)),
        ),
        Case(
            "log-probabilities taken for probabilities",
            lambda: _model(activation="log_softmax", loss="categorical_crossentropy"),
            expected=lambda: _model(
                activation="log_softmax", loss=keras.losses.CategoricalCrossentropy(from_logits=True)
            ),
        ),
        Case("softmax under binary crossentropy", lambda: _model(activation="softmax", loss="binary_crossentropy")),
        Case(
            "sigmoid under categorical crossentropy",
            lambda: _model(activation="sigmoid", loss="categorical_crossentropy"),
        ),
    )

    def check(self, facts: Facts) -> Iterator[Finding]:
        for head in facts.model.heads:
            if head.loss is None or head.loss.name not in _CATEGORICAL | _BINARY:
                continue
            function = output_function(facts, head)
            if function is None:
                continue
            finding = self._wrong_kind(head, head.loss, function) or self._wrong_logits(head, head.loss, function)
            if finding:
                yield finding

    def _wrong_kind(self, head: Head, loss: Loss, function: str) -> Finding | None:
        several = head.units is not None and head.units > 1
        if function in {"softmax", "log_softmax"} and loss.name in _BINARY and several:
            return self.finding(
                head.path,
                message=f"`{head.path}` gives one distribution over {head.units} classes ({function}), but its loss "
                f"{loss.name} judges every class on its own",
                why="Softmax makes the classes compete; binary crossentropy asks a yes-or-no question per class. "
                'If one class is right, use `loss="categorical_crossentropy"` (`"sparse_categorical_crossentropy"` for '
                'integer labels). If several may be right at once, use `activation="sigmoid"`.',
            )
        if function in {"sigmoid", "hard_sigmoid"} and loss.name in _CATEGORICAL:
            remedy = (
                'If one class is right, use `activation="softmax"`. If several may be right at once, use '
                '`loss="binary_crossentropy"`.'
                if several
                else 'For one unit use `loss="binary_crossentropy"`.'
            )
            return self.finding(
                head.path,
                message=f"`{head.path}` judges its {head.units} units one by one ({function}), but its loss "
                f"{loss.name} expects one distribution over the classes",
                why=f"Categorical crossentropy looks only at the share of the right class among all. {remedy}",
            )
        return None

    def _wrong_logits(self, head: Head, loss: Loss, function: str) -> Finding | None:
        if loss.from_logits and function in PROBABILITIES:
            message = f"`{head.path}` gives probabilities ({function}), but {loss.name} has from_logits=True"
            why = (
                "The loss squashes values in [0, 1] a second time, so it can never come near 0. "
                "Keras undoes that on TensorFlow only, and only for an activation right before the loss."
            )
        elif loss.from_logits is False and function in _LOGITS:
            message = f"`{head.path}` gives {_carried(function)}, but {loss.name} has from_logits=False"
            why = (
                "The loss clips the values to [0, 1] as if they were probabilities; where it clips, no gradient flows."
            )
        else:
            return None
        changes = {"from_logits": not loss.from_logits}
        fix = Fix(
            f"compile {loss.name} with from_logits={not loss.from_logits}",
            (ConfigureLoss(head.path, head.output, changes),),
            "retrain",
        )
        return self.finding(head.path, message=message, why=why, fix=fix if loss.configurable else None)


def _carried(function: str) -> str:
    return "logits (no activation)" if function == "linear" else "log-probabilities"
