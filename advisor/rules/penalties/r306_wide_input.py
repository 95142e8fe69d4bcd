"""R306: many inputs, few samples, and nothing that leaves inputs out."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import keras
import numpy as np
from keras import layers

from advisor.facts import Facts, Kind, LayerFacts
from advisor.graph import Configure
from advisor.rules.base import Case, Requirement, Rule
from advisor.rules.finding import Finding, Fix, Severity
from advisor.rules.penalties.informative_columns import informative_share
from advisor.rules.registry import rule
from keras_normpack.regularizers import GroupLasso

SAMPLES_PER_INPUT = 20.0
"""With this many training samples per input nothing is asked for: docs/adr/0012-penalties-by-measurement.md."""

FEWEST_INPUTS = 20
"""Of fewer inputs a person knows which ones matter."""

FACTOR = 3e-3

MOST_INFORMATIVE = 0.5
"""Where a larger share of the columns tells something by itself, leaving columns out costs accuracy."""

_BEFORE_FIRST = frozenset({Kind.PREPROCESSING, Kind.AUGMENTATION, Kind.NORM, Kind.DROPOUT, Kind.RESHAPE})


def _table(rows: int, columns: int, *, informative: bool = False) -> dict[str, Any]:
    def data() -> tuple[np.ndarray, np.ndarray]:
        generator = np.random.default_rng(0)
        labels = generator.integers(0, 2, rows)
        shift = 4.0 * labels[:, np.newaxis] if informative else 0.0
        return (generator.normal(size=(rows, columns)) + shift).astype("float32"), labels

    return {"data": data, "batch_size": 16}


def _model(columns: int, penalty: keras.regularizers.Regularizer | None = None, *, norm: bool = False) -> keras.Model:
    return keras.Sequential(
        [
            keras.Input((columns,)),
            *([layers.BatchNormalization()] if norm else []),
            layers.Dense(8, activation="relu", kernel_regularizer=penalty),
            layers.Dense(2, activation="softmax"),
        ]
    )


def _two_towers(penalty: keras.regularizers.Regularizer | None) -> keras.Model:
    inputs = keras.Input((40,))
    towers = [layers.Dense(4, activation="relu", kernel_regularizer=penalty)(inputs) for _ in range(2)]
    return keras.Model(inputs, layers.Dense(2, activation="softmax")(layers.Concatenate()(towers)))


@rule
class WideInput(Rule):
    """A table has many columns for its rows, and the model weighs them all.

    What it does:
        Divides the training samples of tabular data by the number of columns. Below 20, with 20 columns at least, it
        looks for a penalty on the dense layers that read the columns, and asks for one where there is none, unless more
        than half of the columns correlate with the target (measured on the data).

    Why it matters:
        Each column that tells nothing about the target adds weights that fit noise. An L1 penalty takes weights to 0,
        so that what is not needed drops out; a group lasso does so with all weights of a column at once. On a made
        table of 100 columns, 6 of them informative, the test accuracy with 1,000 rows rose from 70 % to 82 %. On
        scikit-learn's breast cancer data, where most columns tell something, it fell from 96 % to 95 % with 60 rows.

    Example:
        ```python
        keras.Input((500,)), layers.Dense(64, activation="relu"), layers.Dense(2)  # on 300 rows
        ```

    Fix:
        Puts `keras_normpack.regularizers.GroupLasso(0.003)` on the kernels of these layers, one group for each column.
        Scale the columns to one size first, or the penalty judges them by their units. Safety: retrain.
    """

    code = "R306"
    name = "wide-input"
    severity = Severity.INFO
    requires = frozenset({Requirement.GRAPH, Requirement.SAMPLES})
    references = ("tibshirani-1996", "yuan-2006")

    VALID = (
        Case("many samples", lambda: _model(40), _table(900, 40)),
        Case("a penalty", lambda: _model(40, keras.regularizers.L1(1e-3)), _table(64, 40)),
        Case("few columns", lambda: _model(10), _table(64, 10)),
        Case("columns that tell something one by one", lambda: _model(40), _table(64, 40, informative=True)),
    )
    INVALID = (
        Case("40 columns, 64 rows", lambda: _model(40), _table(64, 40), lambda: _model(40, GroupLasso(FACTOR))),
        Case(
            "a normalization before the first layer",
            lambda: _model(40, norm=True),
            _table(64, 40),
            lambda: _model(40, GroupLasso(FACTOR), norm=True),
        ),
        Case("two first layers", lambda: _two_towers(None), _table(64, 40), lambda: _two_towers(GroupLasso(FACTOR))),
    )

    def check(self, facts: Facts) -> Iterator[Finding]:
        if facts.data is None or not facts.data.samples or facts.data.modality != "tabular":
            return
        first = _first_dense(facts)
        columns = sum(node.output_shapes[0][-1] or 0 for node in facts.graph.inputs if len(node.output_shapes[0]) == 2)
        ratio = facts.data.samples / max(columns, 1)
        if not first or columns < FEWEST_INPUTS or ratio >= SAMPLES_PER_INPUT:
            return
        # One that is set but not bound (R301) will be a penalty.
        if any(layer.has_penalty or layer.unbound_regularizers for layer in first):
            return
        share = informative_share(facts.data, MOST_INFORMATIVE)
        if share is not None and share.value > MOST_INFORMATIVE:
            return
        penalty = keras.regularizers.serialize(GroupLasso(FACTOR))
        names = ", ".join(f"`{layer.path}`" for layer in first)
        yield self.finding(
            *first,
            message=f"{columns} columns for {facts.data.samples:,} rows ({ratio:.2g} rows each), and {names} "
            "weighs them all without a penalty",
            why="Columns that tell nothing fit noise; a penalty on each column's weights leaves them out.",
            measurements=[share] if share else [],
            fix=Fix(
                f"put GroupLasso({FACTOR}) on the kernel of {names}",
                tuple(Configure(layer.path, {"kernel_regularizer": penalty}) for layer in first),
                "retrain",
            ),
        )


def _first_dense(facts: Facts) -> list[LayerFacts]:
    """The trained dense layers that read the inputs, past what only prepares them; each once."""
    found: dict[str, LayerFacts] = {}
    seen: set[str] = set()
    frontier = [node.path for node in facts.graph.inputs]
    while frontier:
        for layer in facts.consumers(frontier.pop()):
            if layer.kind is Kind.DENSE and layer.cls is layers.Dense and layer.trainable:
                found[facts.graph.calls_of(layer.path)[0]] = layer
            elif layer.kind in _BEFORE_FIRST and layer.path not in seen:
                seen.add(layer.path)
                frontier.append(layer.path)
    return [facts[path] for path in found]
