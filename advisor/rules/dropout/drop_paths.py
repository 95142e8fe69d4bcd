"""Stochastic depth: which layers are it, and how a residual block gets it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from advisor.facts import Facts, LayerFacts
from advisor.facts.residual_blocks import ResidualBlock
from advisor.graph import Edit, InsertAfter, InsertBefore, LayerSpec
from advisor.rules.dropout.places import drops_features, is_active
from keras_normpack import DropPath, StochasticDepth

Schedule = Literal["linear", "constant"]

# Layers of the user's own, and of Keras's applications, that are known by their names only.
_NAMES = frozenset({"stochasticdepth", "droppath", "dropconnect"})


def drops_paths(layer: LayerFacts) -> bool:
    """Whether it drops whole samples: drop path, the sum that skips its branch, dropout with one draw per sample."""
    if issubclass(layer.cls, DropPath):
        return bool(layer.config["rate"] > 0)
    if issubclass(layer.cls, StochasticDepth):
        return bool(layer.config["survival_probability"] < 1)
    if layer.cls.__name__.lower().replace("_", "") in _NAMES:
        return True
    return is_active(layer) and not drops_features(layer) and layer.config.get("noise_shape") is not None


def drop_path_rates(blocks: int, rate: float, schedule: Schedule = "linear") -> tuple[float, ...]:
    """The rate of each block, in order.

    Args:
        blocks: How many there are.
        rate: Rate of the last one.
        schedule: `"linear"` rises evenly from the first, as early features are read by all later blocks; `"constant"`
            gives all the same.

    Returns:
        The rates.

    Example:
    >>> drop_path_rates(4, 0.2)
    (0.05, 0.1, 0.15, 0.2)
    """
    if schedule == "constant":
        return (rate,) * blocks
    return tuple(round(rate * (index + 1) / blocks, 4) for index in range(blocks))


def with_drop_path(facts: Facts, block: ResidualBlock, rate: float, seed: int | None = None) -> Edit | None:
    """The edit that puts drop path on the branch of a block, and on nothing else.

    Args:
        facts: What is known of the model.
        block: The block.
        rate: Share of the samples for which the branch is dropped.
        seed: Seed of the new layer.

    Returns:
        The edit; None where the end of the branch is read by others as well and is the second input of the addition.
    """
    specs = (LayerSpec(DropPath, {"rate": rate, **({} if seed is None else {"seed": seed})}),)
    if facts.graph.sole_consumer(block.end) == block.merge.path:
        return InsertAfter(block.end, specs)
    if facts.graph.producers(block.merge.path)[0] == block.end:
        return InsertBefore(block.merge.path, specs)
    return None


def has_dropout(block: ResidualBlock) -> bool:
    """Whether anything of the block is dropped already."""
    return drops_paths(block.merge) or any(is_active(layer) or drops_paths(layer) for layer in block.branch)


def any_drops_paths(blocks: Sequence[ResidualBlock]) -> bool:
    """Whether any block has stochastic depth."""
    return any(drops_paths(layer) for block in blocks for layer in (block.merge, *block.branch))
