"""What the layers with layer normalization have in common."""

from typing import Any

import keras


def _of_the_cell(name: str) -> property:
    return property(lambda layer: getattr(layer.cell, name), doc=f"The argument `{name}` of the cell.")


class LayerNormRNN(keras.layers.RNN):
    """A recurrent layer of one cell that shows and saves the arguments of the cell as its own."""

    units = _of_the_cell("units")
    activation = _of_the_cell("activation")
    recurrent_activation = _of_the_cell("recurrent_activation")
    use_bias = _of_the_cell("use_bias")
    kernel_initializer = _of_the_cell("kernel_initializer")
    recurrent_initializer = _of_the_cell("recurrent_initializer")
    bias_initializer = _of_the_cell("bias_initializer")
    kernel_regularizer = _of_the_cell("kernel_regularizer")
    recurrent_regularizer = _of_the_cell("recurrent_regularizer")
    bias_regularizer = _of_the_cell("bias_regularizer")
    kernel_constraint = _of_the_cell("kernel_constraint")
    recurrent_constraint = _of_the_cell("recurrent_constraint")
    bias_constraint = _of_the_cell("bias_constraint")
    dropout = _of_the_cell("dropout")
    recurrent_dropout = _of_the_cell("recurrent_dropout")
    norm_gamma_initializer = _of_the_cell("norm_gamma_initializer")
    norm_beta_initializer = _of_the_cell("norm_beta_initializer")
    norm_epsilon = _of_the_cell("norm_epsilon")

    def __init__(self, cell: keras.layers.Layer, **kwargs: Any) -> None:
        super().__init__(cell, **kwargs)
        self.input_spec = keras.layers.InputSpec(ndim=3)

    def get_config(self) -> dict[str, Any]:
        """Gives the arguments the layer was made with."""
        config = {
            **self.cell.get_config(),
            **super().get_config(),
            "activity_regularizer": keras.regularizers.serialize(self.activity_regularizer),
        }
        del config["cell"]
        return config

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> "LayerNormRNN":
        """Makes a layer of the arguments `get_config` gave."""
        return cls(**config)
