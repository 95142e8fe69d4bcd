"""Values that the replicas of a distribution strategy must share."""

from typing import Any

import keras


def mean_over_replicas(value: Any) -> Any:
    """Averages a tensor over the replicas of the running `tf.distribute` strategy.

    Keras assigns a variable on each replica by itself, so a value computed from a replica's part of the batch would
    leave the copies of the variable different for good.

    Args:
        value: Float tensor of the same shape on every replica.

    Returns:
        The mean, or the value itself where there is one replica, or a backend without replicas.
    """
    if keras.backend.backend() != "tensorflow":
        return value
    import tensorflow as tf

    replica = tf.distribute.get_replica_context()
    if replica is None or replica.num_replicas_in_sync == 1:
        return value
    return replica.all_reduce(tf.distribute.ReduceOp.MEAN, value)
