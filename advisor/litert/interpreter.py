"""A TFLite model run by LiteRT through its signature."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from advisor.native_log import native_log_held_back


@dataclass(frozen=True)
class Tensor:
    """An input or output of a model.

    Attributes:
        index: Its number in the interpreter.
        dtype: The dtype it is stored in.
        scale: What an integer is multiplied by; 0 where the tensor is not quantized.
        zero_point: The integer that stands for 0.
    """

    index: int
    dtype: np.dtype
    scale: float = 0.0
    zero_point: int = 0

    @classmethod
    def of(cls, details: Mapping[str, Any]) -> Tensor:
        """The tensor that the interpreter's details are about."""
        scale, zero_point = details["quantization"]
        return cls(details["index"], np.dtype(details["dtype"]), float(scale), int(zero_point))

    def stored(self, values: np.ndarray) -> np.ndarray:
        """Real numbers as the tensor holds them: `round(x / scale) + zero_point`, kept within the dtype's range.

        Example:
        >>> Tensor(0, np.dtype("int8"), scale=0.5, zero_point=-3).stored(np.array([1.0, 1e9], "float32"))
        array([ -1, 127], dtype=int8)
        """
        values = np.asarray(values)
        if not self.scale or values.dtype == self.dtype:
            return values
        limits = np.iinfo(self.dtype)
        whole = np.rint(values / self.scale) + self.zero_point
        return np.clip(whole, limits.min, limits.max).astype(self.dtype)

    def real(self, values: np.ndarray) -> np.ndarray:
        """What the tensor holds as real numbers: `(q - zero_point) · scale`."""
        if not self.scale:
            return values
        return ((values.astype("float32") - self.zero_point) * self.scale).astype("float32")


class LiteRTModel:
    """A TFLite model loaded into the LiteRT interpreter, on the CPU with XNNPACK.

    Quantized inputs and outputs are fed and returned as real numbers.

    Args:
        flatbuffer: The model, with one signature.
        num_threads: Threads the interpreter may use, at least 1.
        shapes: Shapes of the inputs, by name, for a model that leaves axes open; None takes the model's.

    Raises:
        RuntimeError: If LiteRT cannot run the model, as when it needs the Flex delegate.
    """

    def __init__(
        self, flatbuffer: bytes, num_threads: int = 1, *, shapes: Mapping[str, tuple[int, ...]] | None = None
    ) -> None:
        from ai_edge_litert.interpreter import Interpreter

        with native_log_held_back():
            self._interpreter = Interpreter(model_content=flatbuffer, num_threads=num_threads)
            # A signature runner that lives blocks the interpreter, so only what it knows is kept.
            signature = self._interpreter.get_signature_runner()
            self._inputs = {name: Tensor.of(details) for name, details in signature.get_input_details().items()}
            self._outputs = {name: Tensor.of(details) for name, details in signature.get_output_details().items()}
            del signature
            for name, shape in (shapes or {}).items():
                self._interpreter.resize_tensor_input(self._inputs[name].index, shape)
            self._interpreter.allocate_tensors()

    @classmethod
    def from_file(cls, path: str | os.PathLike[str], num_threads: int = 1) -> LiteRTModel:
        """Loads a `.tflite` file that `export_tflite` wrote."""
        return cls(Path(path).read_bytes(), num_threads)

    @property
    def input_names(self) -> tuple[str, ...]:
        """The names inputs are fed by."""
        return tuple(self._inputs)

    @property
    def output_names(self) -> tuple[str, ...]:
        """The names outputs are returned by."""
        return tuple(self._outputs)

    def __call__(self, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Runs one batch.

        Args:
            inputs: One array per input, by name, in the shapes and dtypes the model was exported with; for a quantized
                input real numbers, or integers of its own dtype, which are taken as they are.

        Returns:
            One array per output, by name; real numbers for a quantized output.
        """
        self.feed(inputs)
        self.invoke()
        return self.outputs()

    def feed(self, inputs: Mapping[str, np.ndarray]) -> None:
        """Hands the model its inputs; it keeps them until others come."""
        for name, array in inputs.items():
            tensor = self._inputs[name]
            self._interpreter.set_tensor(tensor.index, tensor.stored(array))

    def invoke(self) -> None:
        """Runs the model on the inputs it holds."""
        self._interpreter.invoke()

    def outputs(self) -> dict[str, np.ndarray]:
        """A copy of the outputs of the last run, by name."""
        return {name: tensor.real(self._interpreter.get_tensor(tensor.index)) for name, tensor in self._outputs.items()}


def resized_bytes(flatbuffer: bytes, shapes: Mapping[str, tuple[int, ...]]) -> dict[int, int]:
    """Sizes of the tensors of a model that is given other shapes.

    Args:
        flatbuffer: The model, with one signature.
        shapes: Shapes of the inputs, by name.

    Returns:
        Bytes of the tensors of the main subgraph, by number.

    Raises:
        RuntimeError: If LiteRT cannot run the model in these shapes.
    """
    from ai_edge_litert.interpreter import Interpreter, OpResolverType

    with native_log_held_back():
        # A delegate would keep the shapes of the tensors inside it to itself.
        interpreter = Interpreter(
            model_content=flatbuffer, experimental_op_resolver_type=OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES
        )
        inputs = interpreter.get_signature_runner().get_input_details()
        indices = {name: tensor["index"] for name, tensor in inputs.items()}
        for name, shape in shapes.items():
            interpreter.resize_tensor_input(indices[name], shape)
        interpreter.allocate_tensors()
        return {
            tensor["index"]: int(np.prod(tensor["shape"], dtype=np.int64)) * np.dtype(tensor["dtype"]).itemsize
            for tensor in interpreter.get_tensor_details()
        }
