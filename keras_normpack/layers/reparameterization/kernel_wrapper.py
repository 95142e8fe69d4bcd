"""What the wrappers that compute a layer's kernels from other weights have in common."""

import abc
import inspect
from typing import Any, ClassVar

import keras

from keras_normpack.layers.reparameterization.kernel_axes import KernelAxes, is_supported, kernels_of
from keras_normpack.layers.reparameterization.recurrent_forwarding import RecurrentForwarding
from keras_normpack.layers.reparameterization.substitution import call_with
from keras_normpack.statistics import statistics_dtype


class KernelWrapper(RecurrentForwarding, keras.layers.Wrapper, abc.ABC):
    """Calls the wrapped layer with other kernels than its own.

    A subclass lists in `kinds` the classes it wraps, and says in `kernel_value` what takes the place of a kernel.

    Args:
        layer: The layer to wrap.
        **kwargs: Arguments of `keras.layers.Layer`, such as `name`; `dtype` is the wrapped layer's unless given.

    Raises:
        ValueError: If the layer is of another class, is quantized, or has LoRA enabled.
    """

    kinds: ClassVar[tuple[type, ...]]

    def __init__(self, layer: keras.layers.Layer, **kwargs: Any) -> None:
        if not is_supported(layer, self.kinds):
            raise ValueError(
                f"Argument `layer` of {type(self).__name__} must be one of "
                f"{', '.join(sorted(kind.__name__ for kind in self.kinds))}, or a subclass, and so must the layers or "
                f"the cell it is made of. Received: layer={layer!r} of type {type(layer).__name__}"
            )
        self._check_unadapted(layer)
        super().__init__(layer, **{"dtype": layer.dtype_policy, **kwargs})
        # Kernels are computed in full precision; the wrapped layer casts for itself.
        self.autocast = False
        self.supports_masking = layer.supports_masking

    @abc.abstractmethod
    def kernel_value(self, position: int, kernel: KernelAxes, variable: Any) -> Any:
        """Computes what takes the place of a kernel.

        Args:
            position: Which of the layer's kernels it is.
            kernel: The kernel's place in the layer, and its axes.
            variable: Its value in float32 at least.

        Returns:
            A tensor of the shape of the kernel.
        """

    def call(
        self,
        inputs: Any,
        states: Any = None,
        initial_state: Any = None,
        mask: Any = None,
        training: bool | None = None,
    ) -> Any:
        """Calls the wrapped layer with its kernels replaced.

        Args:
            inputs: Inputs of the wrapped layer.
            states: States of the last step, if the wrapped layer is a recurrent cell.
            initial_state: States to begin with, if the wrapped layer is recurrent.
            mask: Mask of the inputs, used if the wrapped layer takes one.
            training: Whether this is a training step.

        Returns:
            The outputs of the wrapped layer.
        """
        self._check_unadapted(self.layer)
        accepted = inspect.signature(self.layer.call).parameters
        context = {"mask": mask, "training": training}
        sequence = {"states": states, "initial_state": initial_state}
        arguments = {name: value for name, value in context.items() if name in accepted} | {
            name: value for name, value in sequence.items() if value is not None
        }
        return call_with(self.layer, self._substitutes(), inputs, **arguments).carry_out()

    def remove(self) -> keras.layers.Layer:
        """Gives the plain layer that computes the same.

        Returns:
            A new layer of the wrapped layer's class, config and name, with the computed kernels as its own.

        Raises:
            ValueError: If the wrapper has not been built, so that there are no weights yet.
        """
        if not self.built:
            raise ValueError(
                f"{type(self).__name__} {self.name!r} has no weights before it is built; call it on data first. "
                "Received: built=False"
            )
        self._check_unadapted(self.layer)
        plain = type(self.layer).from_config(self.layer.get_config())
        plain.build_from_config(self.layer.get_build_config())
        plain.set_weights(self.layer.get_weights())
        for kernel, (_, value) in zip(kernels_of(plain), self._substitutes(), strict=True):
            kernel.variable(plain).assign(value)
        return plain

    def compute_output_shape(self, input_shape: Any) -> Any:
        """Gives the output shape of the wrapped layer."""
        return self.layer.compute_output_shape(input_shape)

    def compute_mask(self, inputs: Any, previous_mask: Any = None) -> Any:
        """Gives the mask of the wrapped layer."""
        return self.layer.compute_mask(inputs, previous_mask)

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: dict[str, Any] | None = None) -> Any:
        """Makes a wrapper from its config, which is left as it is (Keras's `Wrapper` takes the layer out).

        `go_backwards` is the wrapped layer's: `keras.layers.Bidirectional` writes it there for its second direction.
        """
        own = {key: value for key, value in config.items() if key != "go_backwards"}
        if "go_backwards" in config:
            layer = own["layer"]
            # Without the identity, since it must not become the layer of the other direction.
            own["layer"] = {key: value for key, value in layer.items() if key != "shared_object_id"} | {
                "config": {**layer["config"], "go_backwards": config["go_backwards"]}
            }
        return super().from_config(own, custom_objects)

    def _substitutes(self) -> list[tuple[Any, Any]]:
        """Pairs each kernel variable with what takes its place."""
        pairs = []
        for position, kernel in enumerate(kernels_of(self.layer)):
            variable = kernel.variable(self.layer)
            value = self.kernel_value(position, kernel, in_full_precision(variable))
            pairs.append((variable, keras.ops.cast(value, variable.dtype)))
        return pairs

    def _check_unadapted(self, layer: Any) -> None:
        lora_enabled = getattr(layer, "lora_enabled", False)
        quantization_mode = getattr(layer, "quantization_mode", None)
        if lora_enabled or quantization_mode:
            raise ValueError(
                f"{type(self).__name__} cannot replace the kernel of layer {layer.name!r}, which is quantized or has "
                "LoRA enabled and is no plain weight any more; take the wrapper off with `remove()` first, then "
                f"quantize or enable LoRA. Received: lora_enabled={lora_enabled}, "
                f"quantization_mode={quantization_mode!r}"
            )


def in_full_precision(variable: Any) -> Any:
    """Gives a variable's value in float32, or in float64 if it is that."""
    return keras.ops.cast(variable, statistics_dtype(variable))
