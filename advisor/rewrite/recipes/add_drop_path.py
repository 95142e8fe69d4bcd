"""Stochastic depth on the branches of a residual network."""

from __future__ import annotations

from typing import get_args

import keras

from advisor.facts.residual_blocks import residual_blocks
from advisor.rewrite.rebuild import rebuild
from advisor.rewrite.recipes.targets import facts_of
from advisor.rules.dropout.drop_paths import Schedule, drop_path_rates, drops_paths, with_drop_path


def add_drop_path(
    model: keras.Model, rate: float = 0.1, *, schedule: Schedule = "linear", seed: int | None = None
) -> keras.Model:
    """Drop the branches of residual blocks at random; at inference the model computes the same as before.

    In training block `l` of `L` leaves its branch out for a share `rate · l / L` of the samples. Blocks that do so
    already are left as they are, and so are those whose branch cannot be told from what else reads its end.

    Args:
        model: Sequential or Functional model; stays as it is.
        rate: Share of the samples for which the last branch is dropped, 0 ≤ rate < 1.
        schedule: `"linear"`: the rate rises evenly from block to block; `"constant"`: it is the same in all.
        seed: Seed of the draws; block `l` takes `seed + l`, so that the blocks do not drop the same samples.

    Returns:
        A new model, weights as before, with `keras_normpack.DropPath` before the additions.

    Raises:
        ValueError: If `rate` is out of range, `schedule` unknown, or the model has no residual block to drop.
        RewriteError: If the model cannot be rewritten.

    Example:
    >>> import keras
    >>> inputs = x = keras.Input((8,))
    >>> for name in ("one", "two"):
    ...     x = keras.layers.Add()([x, keras.layers.Dense(8, activation="relu", name=name)(x)])
    >>> deep = add_drop_path(keras.Model(inputs, x), 0.2)
    >>> [(layer.name, layer.rate) for layer in deep.layers if "drop" in layer.name]
    [('one_drop_path', 0.1), ('two_drop_path', 0.2)]

    References:
        Huang et al. 2016, arXiv:1603.09382, section 3 ("linear decay").
    """
    if not 0 <= rate < 1:
        raise ValueError(f"`rate` must be at least 0 and below 1. Received: rate={rate}")
    if schedule not in get_args(Schedule):
        raise ValueError(f"`schedule` must be one of {', '.join(get_args(Schedule))}. Received: schedule={schedule!r}")
    facts = facts_of(model)
    blocks = list(residual_blocks(facts))
    edits = [
        None
        if any(drops_paths(layer) for layer in (block.merge, *block.branch))
        else with_drop_path(facts, block, share, None if seed is None else seed + index)
        for index, (block, share) in enumerate(zip(blocks, drop_path_rates(len(blocks), rate, schedule), strict=True))
    ]
    possible = [edit for edit in edits if edit is not None]
    if not possible:
        raise ValueError(
            "`model` must have a residual block without stochastic depth: an addition of a branch to what it started "
            f"from. Received: `{model.name}` with {len(blocks)} residual blocks"
        )
    return rebuild(facts.graph, possible).model
