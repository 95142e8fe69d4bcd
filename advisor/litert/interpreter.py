"""A TFLite model run by LiteRT through its signature."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from advisor.native_log import native_log_held_back


class LiteRTModel:
    """A TFLite model loaded into the LiteRT interpreter, on the CPU with XNNPACK.

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
            self._inputs = {name: tensor["index"] for name, tensor in signature.get_input_details().items()}
            self._outputs = {name: tensor["index"] for name, tensor in signature.get_output_details().items()}
            del signature
            for name, shape in (shapes or {}).items():
                self._interpreter.resize_tensor_input(self._inputs[name], shape)
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
            inputs: One array per input, by name, in the shapes and dtypes the model was exported with.

        Returns:
            One array per output, by name.
        """
        self.feed(inputs)
        self.invoke()
        return self.outputs()

    def feed(self, inputs: Mapping[str, np.ndarray]) -> None:
        """Hands the model its inputs; it keeps them until others come."""
        for name, array in inputs.items():
            self._interpreter.set_tensor(self._inputs[name], array)

    def invoke(self) -> None:
        """Runs the model on the inputs it holds."""
        self._interpreter.invoke()

    def outputs(self) -> dict[str, np.ndarray]:
        """A copy of the outputs of the last run, by name."""
        return {name: self._interpreter.get_tensor(index) for name, index in self._outputs.items()}
