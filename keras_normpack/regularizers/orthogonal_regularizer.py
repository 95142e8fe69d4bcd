"""A penalty that turns weight vectors apart."""

from typing import Any

import keras
from keras import ops

from keras_normpack.regularizers.factor import check_factor
from keras_normpack.statistics import statistics_dtype

# Keras's bound of a norm in `keras.ops.normalize`, squared.
_LEAST_SQUARED_NORM = 1e-14


@keras.saving.register_keras_serializable(package="keras_normpack")
class OrthogonalRegularizer(keras.regularizers.Regularizer):
    """Penalizes the angles by which weight vectors fall short of a right one.

    `factor · mean |cos(a, b)|` over the pairs of different rows, or columns, of the weights. Weights of more than two
    axes are taken as a matrix with the last axis for its columns: a convolution's kernel of shape
    `(height, width, inputs, outputs)` has `height · width · inputs` rows and `outputs` columns. On matrices the result
    is that of `keras.regularizers.OrthogonalRegularizer`, which accepts no others.

    Args:
        factor: Float from 0, the strength.
        mode: `"rows"` or `"columns"`, which vectors to turn apart. `"columns"` makes the units of a layer or the
            filters of a convolution different from each other, and costs memory for `outputs²` numbers; `"rows"` is
            Keras's default, and costs memory for the number of rows squared.

    Returns:
        The penalty, a scalar, in float32 at least; 0 where there is only one vector.

    Raises:
        ValueError: If `factor` is not a finite number from 0, `mode` is another, or the weights have less than 2 axes.

    Example:
    >>> kernel = keras.ops.convert_to_tensor([[1.0, 1.0], [0.0, 1.0]])
    >>> round(float(OrthogonalRegularizer(1.0, mode="columns")(kernel)), 4)
    0.7071
    >>> layer = keras.layers.Conv2D(8, 3, kernel_regularizer=OrthogonalRegularizer(mode="columns"))

    Source:
        The formula of Keras; for the use on convolutions Bansal et al. 2018, arXiv:1810.09102.
    """

    def __init__(self, factor: float = 0.01, mode: str = "rows") -> None:
        self.factor = check_factor(self, factor)
        if mode not in ("rows", "columns"):
            raise ValueError(
                f"Argument `mode` of {type(self).__name__} must be 'rows' or 'columns'. Received: mode={mode!r}"
            )
        self.mode = mode

    def __call__(self, x: Any) -> Any:
        """Computes the penalty.

        Args:
            x: The weights, of 2 axes or more.

        Returns:
            A scalar.
        """
        if len(x.shape) < 2:
            raise ValueError(
                f"{type(self).__name__} needs weights of at least 2 axes, the last one for the columns; leave it off "
                f"biases. Received: weights of shape {tuple(x.shape)}"
            )
        columns = ops.reshape(ops.cast(x, statistics_dtype(x)), (-1, x.shape[-1]))
        vectors = columns if self.mode == "rows" else ops.transpose(columns)
        squared = ops.sum(ops.square(vectors), axis=1, keepdims=True)
        # Bounded before the root, so that a vector of zeros has a gradient.
        vectors = vectors * ops.rsqrt(ops.maximum(squared, _LEAST_SQUARED_NORM))
        cosines = ops.absolute(ops.matmul(vectors, ops.transpose(vectors)))
        number = vectors.shape[0]
        ordered_pairs = max(number * (number - 1), 1)
        return self.factor / ordered_pairs * ops.sum(cosines * (1 - ops.eye(number, dtype=cosines.dtype)))

    def get_config(self) -> dict[str, Any]:
        """Gives the arguments the regularizer was made with."""
        return {"factor": self.factor, "mode": self.mode}
