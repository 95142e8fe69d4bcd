"""A `keras_tuner.HyperModel` whose search space is the advice."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

import keras

from advisor.advice import Advice, advise
from advisor.race.candidates import ALTERNATIVES
from advisor.rewrite.errors import RewriteError
from advisor.rewrite.fresh_values import fresh_copy
from advisor.training import TrainingPlan, make_plan

try:
    import keras_tuner
except ImportError as error:
    raise ImportError("searching among the advice needs KerasTuner: pip install 'keras-normpack[tuner]'") from error

if TYPE_CHECKING:
    from keras_tuner import HyperParameters

AS_ADVISED = "as-advised"


class AdvisedHyperModel(keras_tuner.HyperModel):
    """What the advice leaves open, for KerasTuner to search.

    - `advice/N102` and so on, one for each code that changes model or run: whether its fixes and changes are applied.
    - `advice/normalization`: as advised, or all of one kind, `norm-group`, `norm-batch`, `norm-layer`, `norm-renorm`.
    - `advice/dropout`: as advised, `without-dropout`, `dropout-0.2`, `dropout-0.5`.
    - `advice/weight_decay`: as advised, `without-weight-decay`, `weight-decay-0.0001` to `weight-decay-0.01`.
    - `advice/augmentation`: as advised, or with it, or without it.

    The alternatives are those of a race. Exact fixes are always applied. With the defaults, a trial is what
    `advice.fit` trains. Initial values are drawn anew for each trial, unless the model looks trained. A value that
    does not apply to what the others have made of the model, such as a rate of dropout where there is none, changes
    nothing.

    Args:
        build_or_model: A model, or what `keras_tuner` takes to build one: a function of `HyperParameters` or a
            `HyperModel`, whose own hyperparameters are searched as well.
        name: As in `keras_tuner.HyperModel`.
        tunable: As in `keras_tuner.HyperModel`.
        **known: Arguments of `advise`: `data`, `batch_size`, `epochs`, `select` and others.

    Raises:
        TypeError: If it is none of these.

    Example:
    >>> stack = [keras.layers.Conv2D(16, 3), keras.layers.BatchNormalization(), keras.layers.Flatten()]
    >>> model = keras.Sequential([keras.Input((8, 8, 1)), *stack, keras.layers.Dense(10, "softmax")])
    >>> model.compile("adam", "sparse_categorical_crossentropy")
    >>> hypermodel = AdvisedHyperModel(model, batch_size=4, select="N102")
    >>> space = keras_tuner.HyperParameters()
    >>> built = hypermodel.build(space)
    >>> space.values["advice/N102"], space.values["advice/normalization"]
    (True, 'as-advised')
    >>> [type(layer).__name__ for layer in built.layers][1]
    'GroupNormalization'

    References:
        O'Malley et al. 2019, KerasTuner, https://github.com/keras-team/keras-tuner.
    """

    def __init__(self, build_or_model: Any, name: str | None = None, tunable: bool = True, **known: Any) -> None:
        super().__init__(name=name, tunable=tunable)
        self._advice = _advice_for(build_or_model, {"verbose": 0, **known})
        self._plans: WeakKeyDictionary[Any, TrainingPlan] = WeakKeyDictionary()

    def build(self, hp: HyperParameters) -> keras.Model:
        """The model that the hyperparameters describe, compiled by its plan.

        Args:
            hp: The hyperparameters.

        Returns:
            A new model.

        Raises:
            FailedTrialError: If it cannot be made; the trial counts as failed, and the search goes on.
        """
        try:
            model, plan = _designed(self._advice(hp), hp)
        except RewriteError as error:
            raise keras_tuner.errors.FailedTrialError(str(error)) from error
        plan.compile(model)
        self._plans[model] = plan
        return model

    def fit(self, hp: HyperParameters, model: keras.Model, *args: Any, **kwargs: Any) -> Any:
        """Train by the plan that goes with the hyperparameters.

        Args:
            hp: The hyperparameters.
            model: The model that `build` made of them.
            *args: Inputs and targets, as in `Model.fit`.
            **kwargs: Further arguments of `Model.fit`.

        Returns:
            The `History`.
        """
        plan = self._plans[model] if model in self._plans else _designed(self._advice(hp), hp)[1]
        return plan.fit(model, *args, **kwargs)


def _advice_for(build_or_model: Any, known: dict[str, Any]) -> Callable[[Any], Advice]:
    """The advice on the model that hyperparameters describe; on a given model it is asked for once."""
    if isinstance(build_or_model, keras.Model):
        advice = advise(build_or_model, **known)
        return lambda hp: advice
    build = build_or_model.build if isinstance(build_or_model, keras_tuner.HyperModel) else build_or_model
    if not callable(build):
        raise TypeError(
            "`build_or_model` of AdvisedHyperModel must be a keras.Model, a function of HyperParameters that builds "
            f"one, or a keras_tuner.HyperModel. Received: {type(build_or_model).__name__}"
        )
    return lambda hp: advise(build(hp), **known)


def _designed(advice: Advice, hp: HyperParameters) -> tuple[Any, TrainingPlan]:
    """The model and the plan that hyperparameters choose."""
    facts = advice.examination.facts
    with hp.name_scope("advice"):
        off = [code for code in _open_codes(advice) if not hp.Boolean(code, default=True)]
        model = advice.rewrite(ignore=off or None).model
        plan = make_plan([finding for finding in advice.findings if finding.code not in off], facts)
        for what, ideas in ALTERNATIVES.items():
            offered = {idea.name: idea for idea in ideas(model, plan, facts)}
            chosen = hp.Choice(what, [AS_ADVISED, *offered]) if offered else AS_ADVISED
            if chosen in offered:
                idea = offered[chosen]
                model, plan = idea.build(), idea.plan or plan
    return fresh_copy(model, keep_trained=facts.model.trained is not None).model, plan


def _open_codes(advice: Advice) -> list[str]:
    """Codes of the findings that change how the model trains; exact fixes alone do not."""
    trained = advice.examination.facts.model.trained is not None
    changing = (
        finding.code
        for finding in advice.findings
        if finding.plan or (finding.fix is not None and finding.fix.safety == "retrain" and not trained)
    )
    return list(dict.fromkeys(changing))
