"""D201: dropout upstream of batch normalization."""

from __future__ import annotations

from collections.abc import Iterator

import keras
from keras import layers

from advisor.facts import Facts, Head, Kind, LayerFacts
from advisor.graph import Edit, InsertBefore, LayerSpec, Remove
from advisor.rules.base import Case, Rule
from advisor.rules.dropout.places import dropout_before, drops_features, moved, rate_of, takes_dropout
from advisor.rules.finding import Finding, Fix, Severity
from advisor.rules.registry import rule


def _blocks(first: keras.Layer | None, second: keras.Layer | None, head: keras.Layer | None) -> keras.Model:
    return keras.Sequential(
        [
            keras.Input((8, 8, 3)),
            layers.Conv2D(4, 3, use_bias=False),
            layers.BatchNormalization(),
            layers.ReLU(),
            *([first] if first else []),
            layers.Conv2D(4, 3, use_bias=False),
            layers.BatchNormalization(),
            layers.ReLU(),
            *([second] if second else []),
            layers.GlobalAveragePooling2D(),
            *([head] if head else []),
            layers.Dense(2),
        ]
    )


def _stochastic_depth() -> keras.Model:
    inputs = keras.Input((8, 8, 3))
    trunk = layers.Conv2D(4, 3, padding="same", activation="relu")(inputs)
    branch = layers.Conv2D(4, 3, padding="same", use_bias=False)(trunk)
    branch = layers.Dropout(0.2, noise_shape=(None, 1, 1, 1))(branch)
    merged = layers.BatchNormalization()(layers.Add()([trunk, branch]))
    return keras.Model(inputs, layers.Dense(2)(layers.GlobalAveragePooling2D()(merged)))


def _layer_norm_between() -> keras.Model:
    return keras.Sequential(
        [
            keras.Input((6,)),
            layers.Dense(4, activation="relu"),
            layers.Dropout(0.2),
            layers.LayerNormalization(),
            layers.Dense(4, use_bias=False),
            layers.BatchNormalization(),
            layers.Dense(2),
        ]
    )


def _norm_at_the_end() -> keras.Model:
    return keras.Sequential(
        [
            keras.Input((6,)),
            layers.Dense(4, activation="relu"),
            layers.Dropout(0.2),
            layers.Dense(2, use_bias=False),
            layers.BatchNormalization(),
        ]
    )


@rule
class DropoutBeforeBatchNorm(Rule):
    """Dropout upstream of batch normalization shifts the variance between training and inference.

    What it does:
        Finds dropout and spatial dropout from which a trainable batch normalization can be reached without passing
        another kind of normalization. Stochastic depth (one mask per sample) and noise layers are left alone.

    Why it matters:
        Dropout keeps the mean of a feature, but in training its variance is larger than at inference: for a feature of
        mean m and variance v, (v + m²)/(1 − rate) − m² instead of v. Batch normalization stores the training variance
        in its moving average and divides by it at inference, where it no longer fits; the error accumulates from layer
        to layer. The cited paper measures accuracy lost on CIFAR and ImageNet, and regained when the dropout stands
        after the last batch normalization.

    Example:
        ```python
        layers.Conv2D(32, 3), layers.Dropout(0.25), layers.Conv2D(64, 3), layers.BatchNormalization()
        ```

    Fix:
        Moves the last such dropout before the last linear layer of the head, where no batch normalization follows. Of
        several that would meet there one is kept; where dropout stands there already, they are only removed. Without
        such a place the finding has no fix. Safety: retrain.
    """

    code = "D201"
    name = "dropout-before-batch-norm"
    severity = Severity.WARNING
    references = ("li-2018",)

    VALID = (
        Case("dropout after the last batch normalization", lambda: _blocks(None, None, layers.Dropout(0.3))),
        Case("stochastic depth", _stochastic_depth),
        Case("rate 0", lambda: _blocks(layers.Dropout(0.0), None, None)),
        Case("layer normalization between them", _layer_norm_between),
        Case("additive noise", lambda: _blocks(layers.GaussianNoise(0.1), None, None)),
    )
    INVALID = (
        Case(
            "dropout between two convolution blocks",
            lambda: _blocks(layers.Dropout(0.3), None, None),
            expected=lambda: _blocks(None, None, layers.Dropout(0.3)),
        ),
        Case(
            "spatial dropout, which cannot stay spatial after pooling",
            lambda: _blocks(layers.SpatialDropout2D(0.2), None, None),
            expected=lambda: _blocks(None, None, layers.Dropout(0.2)),
        ),
        Case(
            "dropout there already",
            lambda: _blocks(layers.Dropout(0.3), None, layers.Dropout(0.5)),
            expected=lambda: _blocks(None, None, layers.Dropout(0.5)),
        ),
        Case(
            "dropout there already, before the pooling",
            lambda: _blocks(layers.Dropout(0.3), layers.SpatialDropout2D(0.2), None),
            expected=lambda: _blocks(None, layers.SpatialDropout2D(0.2), None),
        ),
        Case("no place after the last batch normalization", _norm_at_the_end),
    )

    def check(self, facts: Facts) -> Iterator[Finding]:
        shifted = {layer.path: norms for layer in facts.layers.values() if (norms := _shifted_norms(facts, layer))}
        for group in _groups(facts, list(shifted)):
            dropouts = [facts[path] for path in group]
            norms = list(dict.fromkeys(norm for path in group for norm in shifted[path]))
            names = ", ".join(f"`{layer.path}` (rate {rate_of(layer):g})" for layer in dropouts)
            fix = _fix(facts, dropouts)
            advice = "" if fix else " There is no place after the last batch normalization, so drop it by hand."
            yield self.finding(
                *dropouts,
                message=f"{names} upstream of {len(norms)} batch normalization{'s' if len(norms) > 1 else ''} "
                f"({_some(norms)})",
                why="Dropout raises the variance in training only; the moving variance is then wrong at inference."
                + advice,
                fix=fix,
            )


def _shifted_norms(facts: Facts, dropout: LayerFacts) -> list[str]:
    """Trainable batch normalizations a dropout reaches; other norms rescale every sample and end the search."""
    if not drops_features(dropout):
        return []
    found, seen, frontier = [], {dropout.path}, [dropout.path]
    while frontier:
        for layer in facts.consumers(frontier.pop()):
            if layer.path in seen:
                continue
            seen.add(layer.path)
            if layer.is_batch_norm and layer.trainable:
                found.append(layer.path)
            if layer.kind is not Kind.NORM or layer.is_batch_norm:
                frontier.append(layer.path)
    return found


def _groups(facts: Facts, paths: list[str]) -> Iterator[list[str]]:
    """Dropouts that share a way out are one finding; one that cannot be rewritten stands alone."""
    together: dict[frozenset[str | None], list[str]] = {}
    for path in paths:
        if facts.graph.refusal(path):
            yield [path]
        else:
            heads = frozenset(head.linear for head in _heads_after(facts, path))
            together.setdefault(heads, []).append(path)
    yield from together.values()


def _heads_after(facts: Facts, path: str) -> list[Head]:
    """The heads a dropout leads to, one for every last linear layer."""
    downstream = facts.graph.downstream(path)
    return list({head.linear: head for head in facts.model.heads if head.linear in downstream}.values())


def _fix(facts: Facts, dropouts: list[LayerFacts]) -> Fix | None:
    heads = _heads_after(facts, dropouts[-1].path)
    places = [head.linear for head in heads if head.linear is not None and takes_dropout(facts, head)]
    if not places or len(places) < len(heads):
        return None
    removed = tuple(layer.path for layer in dropouts)
    free = [place for place in places if not dropout_before(facts, place, besides=removed)]
    edits: list[Edit] = [Remove(path) for path in removed]
    specs = {place: moved(facts, dropouts[-1], place) for place in free}
    edits += [InsertBefore(place, (spec if len(free) == 1 else _unnamed(spec),)) for place, spec in specs.items()]
    names = ", ".join(f"`{path}`" for path in removed)
    where = ", ".join(f"`{place}`" for place in places)
    if not free:
        return Fix(f"remove {names}; dropout stands before {where} already", tuple(edits), "retrain")
    if len(removed) == 1:
        return Fix(f"move {names} before {where}", tuple(edits), "retrain")
    return Fix(f"put one dropout before {where} in the place of {names}", tuple(edits), "retrain")


def _unnamed(spec: LayerSpec) -> LayerSpec:
    return LayerSpec(spec.cls, {key: value for key, value in spec.config.items() if key != "name"})


def _some(paths: list[str], shown: int = 3) -> str:
    names = ", ".join(f"`{path}`" for path in paths[:shown])
    return f"{names} and {len(paths) - shown} more" if len(paths) > shown else names
