"""Lets a wrapper around a recurrent layer or cell stand wherever Keras expects the layer or cell itself."""

from typing import Any

from keras import layers

# Keras's RNN fills the dropout masks of instances of this class before its loop; the class itself is not exported.
_DropoutRNNCell: Any = layers.SimpleRNNCell.__bases__[-1]


def _of_the_layer(name: str) -> Any:
    """An attribute that the wrapper shares with the wrapped layer; there is none where the layer has none."""
    return property(
        lambda wrapper: getattr(wrapper.layer, name),
        lambda wrapper, value: setattr(wrapper.layer, name, value),
        doc=f"The wrapped layer's `{name}`.",
    )


class RecurrentForwarding(_DropoutRNNCell):
    """What `keras.layers.RNN` asks of a cell and `keras.layers.Bidirectional` of a layer, asked of `self.layer`."""

    state_size = _of_the_layer("state_size")
    output_size = _of_the_layer("output_size")
    go_backwards = _of_the_layer("go_backwards")
    return_sequences = _of_the_layer("return_sequences")
    return_state = _of_the_layer("return_state")
    stateful = _of_the_layer("stateful")
    states = _of_the_layer("states")
    zero_output_for_mask = _of_the_layer("zero_output_for_mask")
    use_cudnn = _of_the_layer("use_cudnn")
    get_initial_state = _of_the_layer("get_initial_state")
    reset_state = _of_the_layer("reset_state")

    layer: Any

    def get_dropout_mask(self, step_input: Any) -> Any:
        """Gives the mask that the wrapped cell lays on its inputs at every step."""
        return self.layer.get_dropout_mask(step_input)

    def get_recurrent_dropout_mask(self, step_input: Any) -> Any:
        """Gives the mask that the wrapped cell lays on its state at every step."""
        return self.layer.get_recurrent_dropout_mask(step_input)

    def reset_dropout_mask(self) -> None:
        """Lets the next sequence have another mask on its inputs."""
        self.layer.reset_dropout_mask()

    def reset_recurrent_dropout_mask(self) -> None:
        """Lets the next sequence have another mask on its state."""
        self.layer.reset_recurrent_dropout_mask()
