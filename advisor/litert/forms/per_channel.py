"""One constant scale and one constant offset for each channel, applied to feature maps in one pass."""

from __future__ import annotations

from typing import Any

from keras import ops

from advisor.litert.calls import LayerCall


def is_over_images(call: LayerCall) -> bool:
    """Whether a layer is called on `(batch, height, width, channels)`, its channels last, without a mask."""
    return call.mask is None and len(call.inputs.shape) == 4 and call.layer.axis in (-1, 3, [-1], [3], (-1,), (3,))


def in_one_pass(x: Any, scale: Any, offset: Any) -> Any:
    """`x · scale + offset` as a depthwise convolution by one pixel; a product and a sum are two passes in LiteRT.

    Args:
        x: Tensor of shape `(batch, height, width, channels)`.
        scale: Shape `(channels,)`, the same for all samples; None for 1.
        offset: Shape `(channels,)`, the same for all samples; None for 0.

    Returns:
        A tensor of the shape of x.
    """
    if scale is not None:
        x = ops.depthwise_conv(x, ops.reshape(scale, (1, 1, -1, 1)), padding="valid", data_format="channels_last")
    return x if offset is None else x + offset
