"""Random warps along time."""

from typing import Any

import keras
from keras import ops

from keras_normpack.layers.augmentation.time_steps import Steps, beside, take_steps

# Keeps the quotient finite where a part is squeezed to nothing; no step lies in it then.
_SHORTEST = 1e-3


def random_time_warp(inputs: Any, steps: Steps, farthest: int, seed: Any) -> Any:
    """Moves a random step of each sample by a random distance and what lies before and after with it.

    With steps 0 to n - 1, a point c is drawn from [W, n - 1 - W] and a distance from [-W, W]; the first and the last
    step stay, and between them and the point moved the series is stretched or squeezed evenly, by linear interpolation.

    Args:
        inputs: Float tensor `(batch, time, …)`.
        steps: Its steps.
        farthest: W, the farthest the point is moved; at most (n - 1) / 2 is used.
        seed: The `keras.random.SeedGenerator` to draw with.

    Returns:
        A tensor of the shape of the inputs.

    Source:
        Park et al. 2019, arXiv:1904.08779, section 2, time warping.
    """
    last = ops.cast(ops.maximum(steps.lengths - 1, 0), "float32")
    reach = ops.minimum(last / 2, float(farthest))
    draws = keras.random.uniform((2, ops.shape(inputs)[0], 1), dtype="float32", seed=seed)
    point = reach + draws[0] * (last - 2 * reach)
    moved = point + (2 * draws[1] - 1) * reach
    positions = ops.cast(steps.positions, "float32")
    before = positions * point / ops.maximum(moved, _SHORTEST)
    after = last - (last - positions) * (last - point) / ops.maximum(last - moved, _SHORTEST)
    sources = ops.clip(ops.where(positions <= moved, before, after), 0.0, last)
    lower = ops.floor(sources)
    upper = ops.minimum(lower + 1, last)
    share = ops.cast(beside(sources - lower, inputs), inputs.dtype)
    low, high = (take_steps(inputs, steps, ops.cast(each, "int32")) for each in (lower, upper))
    return low * (1 - share) + high * share
