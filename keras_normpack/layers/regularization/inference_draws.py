"""Random numbers in a graph that may go to a phone."""

from collections.abc import Sequence
from typing import Any

import keras


def draws_as_an_operator() -> bool:
    """Tells whether a TensorFlow graph is being traced, as for `predict` and for an export."""
    if keras.backend.backend() != "tensorflow":
        return False
    import tensorflow as tf

    return not tf.executing_eagerly()


def uniform_operator(shape: Sequence[Any], seed: int | None) -> Any:
    """Draws uniform numbers from [0, 1) by TensorFlow's operator with a state of its own, which LiteRT has.

    Keras's random numbers are computed from a seed that is handed in, for which LiteRT has no operator.

    Args:
        shape: Sizes, known or tensors.
        seed: Makes the draws repeatable; `None` for those of `keras.utils.set_random_seed`.

    Returns:
        A float32 tensor.
    """
    import tensorflow as tf

    return tf.random.uniform(shape, seed=seed)
