"""The operations as `torch.nn.functional` has them; they want channels second, and statistics in float32 at least."""

import math
from typing import Any

import torch
from torch.nn import functional

from keras_normpack.kernels.reference import REFERENCES


def batch_normalization(inputs: Any, gamma: Any, beta: Any, axis: int, epsilon: float) -> tuple[Any, Any, Any]:
    """See `reference.batch_normalization`."""
    x = _full_precision(inputs).movedim(axis, 1)
    channels = x.shape[1]
    if x.numel() <= channels:
        # torch refuses to normalize one value per channel, or none; Keras does not.
        return REFERENCES["batch_normalization"](inputs, gamma, beta, axis, epsilon)
    # With momentum 1 the moving averages become the statistics of this batch.
    mean, sample_variance = x.new_zeros(channels), x.new_ones(channels)
    outputs = functional.batch_norm(
        x, mean, sample_variance, *_weights(gamma, beta, x), training=True, momentum=1.0, eps=epsilon
    )
    # The operation divides by n - 1, Keras's moving variance by n.
    count = x.numel() // channels
    return _restored(outputs, inputs, axis), mean, sample_variance * ((count - 1) / count)


def group_normalization(inputs: Any, gamma: Any, beta: Any, groups: int, axis: int, epsilon: float) -> Any:
    """See `reference.group_normalization`."""
    # Contiguous: torch's backward pass crashes on other inputs that need no gradient themselves.
    x = _full_precision(inputs).movedim(axis, 1).contiguous()
    if math.prod(x.shape[1:]) <= groups:
        # torch refuses to normalize single values; Keras does not.
        return REFERENCES["group_normalization"](inputs, gamma, beta, groups, axis, epsilon)
    outputs = functional.group_norm(x, groups, *_weights(gamma, beta, x), epsilon)
    return _restored(outputs, inputs, axis)


def instance_normalization(inputs: Any, gamma: Any, beta: Any, axis: int, epsilon: float) -> Any:
    """See `reference.instance_normalization`."""
    return group_normalization(inputs, gamma, beta, inputs.shape[axis], axis, epsilon)


def layer_normalization(inputs: Any, gamma: Any, beta: Any, axis: int, epsilon: float) -> Any:
    """See `reference.layer_normalization`."""
    x = _full_precision(inputs).movedim(axis, -1)
    outputs = functional.layer_norm(x, x.shape[-1:], *_weights(gamma, beta, x), epsilon)
    return outputs.movedim(-1, axis).to(inputs.dtype)


def _full_precision(inputs: Any) -> Any:
    return inputs if inputs.dtype == torch.float64 else inputs.float()


def _weights(gamma: Any, beta: Any, x: Any) -> tuple[Any, Any]:
    """Gives scale and offset in the dtype of the inputs, ones and zeros for `None`: torch wants both or neither."""
    channels = next((weight.shape[0] for weight in (gamma, beta) if weight is not None), None)
    if channels is None:
        return None, None
    # Keras's variables hold theirs in `value`.
    scale = x.new_ones(channels) if gamma is None else getattr(gamma, "value", gamma).to(x.dtype)
    offset = x.new_zeros(channels) if beta is None else getattr(beta, "value", beta).to(x.dtype)
    return scale, offset


def _restored(outputs: Any, inputs: Any, axis: int) -> Any:
    return outputs.movedim(1, axis).to(inputs.dtype)
