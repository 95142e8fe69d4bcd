"""N116: a self-normalizing network that does not normalize itself."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import keras
from keras import layers

from advisor.facts import Facts, Kind, LayerFacts
from advisor.graph import Configure, Edit, LayerSpec, Remove, Replace
from advisor.rules.base import Case, Rule
from advisor.rules.finding import Finding, Fix, Severity
from advisor.rules.initial_values import initialized_by
from advisor.rules.normalization.self_normalizing import batch_norms_of_selu, linear_before, selu_layers
from advisor.rules.registry import rule

# Those whose variance is another than 1 / fan-in. Other ones are somebody's choice.
_OTHER_VARIANCES = frozenset({"GlorotUniform", "GlorotNormal", "HeNormal", "HeUniform"})
_ONE_KERNEL = (layers.Dense, layers.Conv1D, layers.Conv2D, layers.Conv3D)


def _network(*inner: keras.Layer) -> keras.Model:
    return keras.Sequential([keras.Input((10,)), *inner, layers.Dense(3, activation="softmax")])


def _selu(initializer: str = "lecun_normal", **arguments: object) -> keras.Layer:
    return layers.Dense(8, activation="selu", kernel_initializer=initializer, **arguments)


def _normalized(normalized: bool) -> keras.Model:
    inner: list[keras.Layer] = []
    for _ in range(2):
        inner += [layers.Dense(8, kernel_initializer="lecun_normal", use_bias=not normalized)]
        inner += [layers.BatchNormalization(), layers.Activation("selu")] if normalized else [layers.Activation("selu")]
    return _network(*inner)


def _residual() -> keras.Model:
    inputs = x = keras.Input((8,))
    for _ in range(2):
        x = layers.Add()([x, layers.BatchNormalization()(_selu()(x))])
    return keras.Model(inputs, layers.Dense(2)(x))


@rule
class BrokenSelfNormalization(Rule):
    """A self-normalizing network that does not normalize itself.

    What it does:
        Takes a network for self-normalizing when at least two of its hidden layers, and more than half, have the
        activation SELU. In it, it finds batch normalization and plain dropout behind these layers, and kernels that
        start from He's or Glorot's values. Networks with residual additions, which no theory of SELU covers, are left
        alone, and so are frozen layers.

    Why it matters:
        SELU draws mean and variance of what comes in towards 0 and 1, layer by layer, if kernels start with the
        variance 1 / fan-in. Dropout to zero changes both, where alpha dropout keeps them; batch normalization makes
        SELU pointless and costs statistics. On 121 data sets of the UCI repository, self-normalizing networks had the
        best average rank of all networks compared, those with batch normalization among them.

    Example:
        ```python
        layers.Dense(64, activation="selu"), layers.Dropout(0.2), layers.Dense(64, activation="selu")
        ```

    Fix:
        Takes out the batch normalization (a layer before it gets its bias back), makes dropout `AlphaDropout` of the
        same rate, and draws the kernels anew from `lecun_normal`. Safety: retrain.
    """

    code = "N116"
    name = "broken-self-normalization"
    severity = Severity.WARNING
    references = ("klambauer-2017",)

    VALID = (
        Case("as it should be", lambda: _network(_selu(), layers.AlphaDropout(0.1), _selu())),
        Case("a single layer", lambda: _network(_selu("glorot_uniform"), layers.Dropout(0.1))),
        Case("residual", _residual),
        Case("frozen", lambda: _network(_selu("he_normal", trainable=False), _selu("he_normal", trainable=False))),
    )
    INVALID = (
        Case(
            "dropout",
            lambda: _network(_selu(), layers.Dropout(0.1), _selu(), layers.Dropout(0.2)),
            expected=lambda: _network(_selu(), layers.AlphaDropout(0.1), _selu(), layers.AlphaDropout(0.2)),
        ),
        Case(
            "batch normalization",
            lambda: _normalized(normalized=True),
            expected=lambda: _normalized(normalized=False),
        ),
        Case(
            "Keras's default initializer",
            lambda: _network(_selu("glorot_uniform"), _selu("glorot_uniform")),
            expected=lambda: _network(_selu(), _selu()),
        ),
    )

    def check(self, facts: Facts) -> Iterator[Finding]:
        selu = selu_layers(facts)
        if not selu:
            return
        norms = list(batch_norms_of_selu(facts))
        dropouts = [
            layer
            for layer in facts.of_kind(Kind.DROPOUT)
            if layer.cls is layers.Dropout and layer.config["rate"] and linear_before(facts, layer) in selu
        ]
        started = [layer for layer in selu.values() if _starts_otherwise(layer)]
        defects = [
            *([f"batch normalization ({_names(norms)})"] if norms else []),
            *([f"dropout to zero ({_names(dropouts)})"] if dropouts else []),
            *([f"kernels that do not start by `lecun_normal` ({_names(started)})"] if started else []),
        ]
        if defects:
            yield self.finding(
                *norms,
                *dropouts,
                *started,
                message=f"the network is made of SELU, but cannot normalize itself, with {', '.join(defects)}",
                why="SELU keeps mean 0 and variance 1 only from kernels of variance 1 / fan-in, with alpha dropout.",
                fix=Fix("let the network normalize itself", tuple(_edits(facts, norms, dropouts, started)), "retrain"),
            )


def _starts_otherwise(layer: LayerFacts) -> bool:
    if layer.cls not in _ONE_KERNEL:
        return False
    initializer = layer.config["kernel_initializer"]
    return isinstance(initializer, Mapping) and initializer["class_name"] in _OTHER_VARIANCES


def _edits(
    facts: Facts, norms: list[LayerFacts], dropouts: list[LayerFacts], started: list[LayerFacts]
) -> Iterator[Edit]:
    for norm in norms:
        yield Remove(norm.path)
    # The offset of the normalization made a bias superfluous.
    for path in dict.fromkeys(linear_before(facts, norm) for norm in norms):
        if path is not None and not facts[path].has_bias and "use_bias" in facts[path].config:
            yield Configure(path, {"use_bias": True})
    for dropout in dropouts:
        kept = {key: dropout.config[key] for key in ("rate", "noise_shape", "seed")}
        spec = LayerSpec(layers.AlphaDropout, {key: value for key, value in kept.items() if value is not None})
        yield Replace(dropout.path, spec)
    for seed, layer in enumerate(started):
        yield initialized_by(layer, {"kernel": keras.initializers.LecunNormal(seed=seed)})


def _names(found: list[LayerFacts]) -> str:
    return ", ".join(f"`{layer.path}`" for layer in found)
