"""N112: batch normalization whose moving averages lag behind."""

from __future__ import annotations

from collections.abc import Iterator

import keras
from keras import layers

from advisor.facts import Facts, LayerFacts, Measurement
from advisor.graph import Configure
from advisor.rules.base import Case, Requirement, Rule
from advisor.rules.finding import Finding, Fix, PlanChange, Severity
from advisor.rules.normalization.batch_statistics import (
    TOLERATED_STALE_WEIGHT,
    lags,
    measured_lag,
    settled_momentum,
    stale_weight,
)
from advisor.rules.normalization.surroundings import overridden_mode
from advisor.rules.registry import rule


def _with(**arguments: object) -> keras.Model:
    return keras.Sequential(
        [
            keras.Input((8, 8, 3)),
            layers.Conv2D(4, 3, use_bias=False),
            layers.BatchNormalization(**arguments),
            layers.ReLU(),
            layers.Flatten(),
            layers.Dense(2),
        ]
    )


_RECOMPUTE = PlanChange("batch_statistics", {}, "recompute the statistics of batch normalization after training")


@rule
class LaggingMovingAverages(Rule):
    """Moving averages of batch normalization that cannot follow in a short run.

    What it does:
        Computes the weight that the moving averages still give, at the end of the planned run, to all but its last
        hundredth: `momentum^(steps / 100)`. More than 0.05 is too much. Frozen layers and batch
        renormalization, which is trained on its moving averages, are left alone; calls with `training=False` are not,
        as `fit` overrides that argument. Of a model that has been trained, and of one that trains under an
        `AdvisorCallback`, the lag is also measured, where data is given: how far mean and deviation are from 0 and 1
        when what training mode sees is normalized by the moving averages. The median over the channels is reported
        above 0.1 on 256 samples; on fewer, the limit is higher.

    Why it matters:
        At inference the layer normalizes by its moving averages. While the weights still move, these describe weights
        that are gone, and validation is worse than the model could be: with Keras's default of 0.99, a small network on
        Fashion-MNIST loses 33 points of accuracy after 500 steps and 5 after 8,000; with the momentum of this rule, 1
        and 2. Where the learning rate falls to zero the averages catch up in any case, and a smaller momentum does no
        harm.

    Example:
        ```python
        layers.BatchNormalization()  # momentum=0.99
        model.fit(images, batch_size=64, epochs=8)  # 4,000 images: 504 steps
        ```

    Fix:
        Lowers the momentum to the largest of 0.99, 0.98, 0.95, 0.9, 0.8, 0.7 and 0.5 that follows; weights are kept.
        Safety: retrain. In runs below 433 steps not even 0.5 follows, and the training plan recomputes the statistics
        on the training data when training ends (`keras_normpack.PreciseBatchNormalization`).
    """

    code = "N112"
    name = "lagging-moving-averages"
    severity = Severity.WARNING
    requires = frozenset({Requirement.STEPS})
    references = ("keras-3949", "wu-2021", "keras-20285")

    VALID = (
        Case("a long run", _with, {"steps_per_epoch": 300, "epochs": 100}),
        Case("a momentum that follows", lambda: _with(momentum=0.9), {"steps_per_epoch": 300, "epochs": 10}),
        Case(
            "the least momentum in the shortest run", lambda: _with(momentum=0.5), {"steps_per_epoch": 1, "epochs": 5}
        ),
        Case("renormalized", lambda: _with(renorm=True), {"steps_per_epoch": 63, "epochs": 8}),
        Case("frozen", lambda: _with(trainable=False), {"steps_per_epoch": 63, "epochs": 8}),
    )
    INVALID = (
        Case("the default in 504 steps", _with, {"steps_per_epoch": 63, "epochs": 8}, lambda: _with(momentum=0.5)),
        Case(
            "a large momentum",
            lambda: _with(momentum=0.999),
            {"steps_per_epoch": 300, "epochs": 100},
            lambda: _with(momentum=0.99),
        ),
        Case("an epoch of 5 steps", _with, {"steps_per_epoch": 5, "epochs": 1}, lambda: _with(momentum=0.5)),
    )

    def check(self, facts: Facts) -> Iterator[Finding]:
        steps = facts.training.total_steps
        if steps is None:
            return
        for norm in facts.batch_norms():
            if not norm.trainable or norm.config["renorm"]:
                continue
            if lags(facts, norm):
                yield self._behind(facts, norm, steps)
            elif _will_lag(norm, steps):
                yield self._lagging(facts, norm, norm.config["momentum"], steps)

    def _behind(self, facts: Facts, norm: LayerFacts, steps: int) -> Finding:
        measured = measured_lag(facts, norm)
        assert measured is not None
        by_plan = _will_lag(norm, steps)
        catches_up = facts.training.goes_on and not by_plan
        return self.finding(
            norm,
            message=f"the moving averages of `{norm.path}` are {measured.value:.2g} deviations away from the "
            "statistics of the weights as they are",
            why="Inference, and so validation, uses these averages, and is worse than the model is."
            + (" As the run goes on, they will follow." if catches_up else "")
            + overridden_mode(facts, norm),
            measurements=(measured,),
            severity=Severity.INFO if catches_up else None,
            fix=_follow(norm, steps) if by_plan else None,
            plan=() if catches_up else (_RECOMPUTE,),
        )

    def _lagging(self, facts: Facts, norm: LayerFacts, momentum: float, steps: int) -> Finding:
        return self.finding(
            norm,
            message=(
                f"the moving averages of `{norm.path}` (momentum {momentum:g}) give a weight of "
                f"{stale_weight(momentum, steps):.0%} to what comes before the last hundredth of {steps} planned steps"
            ),
            why="Inference uses these averages, and they describe weights that training has left behind."
            + overridden_mode(facts, norm),
            measurements=_apart(facts, norm),
            fix=_follow(norm, steps),
            plan=() if stale_weight(settled_momentum(steps), steps) <= TOLERATED_STALE_WEIGHT else (_RECOMPUTE,),
        )


def _will_lag(norm: LayerFacts, steps: int) -> bool:
    momentum = norm.config["momentum"]
    return stale_weight(momentum, steps) > TOLERATED_STALE_WEIGHT and momentum > settled_momentum(steps)


def _follow(norm: LayerFacts, steps: int) -> Fix:
    settled = settled_momentum(steps)
    return Fix(f"set momentum={settled:g} in `{norm.path}`", (Configure(norm.path, {"momentum": settled}),), "retrain")


def _apart(facts: Facts, norm: LayerFacts) -> tuple[Measurement, ...]:
    """How far training and inference differ, of a trained model: averages that were never updated say nothing."""
    measured = None if facts.model.trained is None else facts.measure("mode_difference", norm.path)
    return () if measured is None else (measured,)
