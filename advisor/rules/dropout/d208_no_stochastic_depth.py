"""D208: a deep residual network without stochastic depth."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import keras
import numpy as np
from keras import layers

from advisor.facts import Facts, Kind
from advisor.facts.residual_blocks import ResidualBlock, residual_blocks
from advisor.rules.base import Case, Rule
from advisor.rules.dropout.drop_paths import any_drops_paths, drop_path_rates, has_dropout, with_drop_path
from advisor.rules.finding import Finding, Fix, Severity
from advisor.rules.registry import rule
from keras_normpack import DropPath

FEWEST_BLOCKS = 16
# The last block's rate: He's 16 blocks up to what vision transformers and ConvNeXt-T take, then twice that.
RATES = ((32, 0.2), (0, 0.1))
# Below, an addition is one of several branches of a cell.
_GATHERS = "Concatenate"


def _network(blocks: int, dropped: Callable[[int], list[keras.Layer]] = lambda index: []) -> keras.Model:
    inputs = keras.Input((8,))
    features = layers.Dense(4)(inputs)
    for index in range(blocks):
        branch = layers.Dense(4, activation="relu")(layers.LayerNormalization()(features))
        for layer in dropped(index):
            branch = layer(branch)
        features = layers.Add()([features, branch])
    return keras.Model(inputs, layers.Dense(2)(features))


def _images(blocks: int, drop: bool) -> keras.Model:
    inputs = keras.Input((8, 8, 3))
    maps = layers.Conv2D(4, 3, padding="same")(inputs)
    for index in range(blocks):
        branch = layers.Conv2D(4, 3, padding="same", use_bias=False)(maps)
        branch = layers.BatchNormalization()(branch)
        if drop:
            branch = DropPath(drop_path_rates(blocks, 0.1)[index])(branch)
        maps = layers.ReLU()(layers.Add()([branch, maps]))
    return keras.Model(inputs, layers.Dense(2)(layers.GlobalAveragePooling2D()(maps)))


def _samples(count: int) -> dict[str, Any]:
    return {"data": lambda: (np.zeros((count, 8), "float32"), np.zeros(count, "int64")), "batch_size": 16}


@rule
class NoStochasticDepth(Rule):
    """A deep residual network is trained without stochastic depth.

    What it does:
        Counts residual blocks whose branch is trained and has no dropout of any sort. From 16 on it asks for stochastic
        depth, unless some block has it, or there are more training samples than weights.

    Why it matters:
        Where a random part of the branches is left out for each sample, the network is trained as an ensemble of
        shallower ones, and gradients reach the first blocks by short ways. The cited paper lowers the test error of a
        ResNet with 110 layers on CIFAR-10 from 6.41 % to 5.25 % and on CIFAR-100 from 27.76 % to 24.98 %.

    Example:
        ```python
        for _ in range(16):
            x = layers.Add()([x, block(x)])
        ```

    Fix:
        Puts `keras_normpack.DropPath` on the branch of each block, right before the addition, its rate rising evenly to
        0.1 in the last block (0.2 from 32 blocks on). A block whose branch is read by others too is left as it is.
        Safety: retrain.
    """

    code = "D208"
    name = "no-stochastic-depth"
    severity = Severity.INFO
    references = ("huang-2016",)

    VALID = (
        Case("15 blocks", lambda: _network(15)),
        Case("drop path", lambda: _network(16, lambda index: [DropPath(0.1)])),
        Case("dropout with one draw per sample", lambda: _network(16, lambda _: [layers.Dropout(0.1, (None, 1))])),
        Case("dropout in the branches", lambda: _network(16, lambda _: [layers.Dropout(0.1)])),
        Case("more samples than weights", lambda: _network(16), _samples(1000)),
    )
    INVALID = (
        Case(
            "16 blocks, fewer samples than weights",
            lambda: _network(16),
            _samples(100),
            expected=lambda: _network(16, lambda index: [DropPath(drop_path_rates(16, 0.1)[index])]),
        ),
        Case("convolutions", lambda: _images(16, drop=False), expected=lambda: _images(16, drop=True)),
    )

    def check(self, facts: Facts) -> Iterator[Finding]:
        samples = facts.data.samples if facts.data else None
        if samples is not None and samples >= facts.model.params:
            return
        blocks = list(residual_blocks(facts))
        bare = [block for block in blocks if _is_trained(block) and not has_dropout(block) and _goes_on(facts, block)]
        if len(bare) < FEWEST_BLOCKS or any_drops_paths(blocks):
            return
        rate = next(rate for blocks_from, rate in RATES if len(bare) >= blocks_from)
        rates = drop_path_rates(len(bare), rate)
        edits = [with_drop_path(facts, block, share) for block, share in zip(bare, rates, strict=True)]
        possible = tuple(edit for edit in edits if edit is not None)
        yield self.finding(
            *(block.merge for block in bare),
            message=f"{len(bare)} residual blocks, from `{bare[0].merge.path}` to `{bare[-1].merge.path}`, are all "
            "trained at full depth",
            why="Leaving branches out at random trains an ensemble of shallower networks, which overfits less.",
            fix=Fix(f"put DropPath on {len(possible)} branches, rates rising to {rate}", possible, "retrain")
            if possible
            else None,
        )


def _is_trained(block: ResidualBlock) -> bool:
    return any(layer.trainable and layer.params for layer in block.branch)


def _goes_on(facts: Facts, block: ResidualBlock) -> bool:
    """Whether the sum is what the next layers read, and not one of the parts of a cell as in NASNet."""
    readers = facts.consumers(block.merge.path)
    return not readers or any(reader.kind is not Kind.MERGE or reader.cls.__name__ != _GATHERS for reader in readers)
