"""The inputs and outputs of a TFLite model by the names of its signature."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

Shapes = dict[str, tuple[int, ...]]


@dataclass(frozen=True)
class SignatureShapes:
    """What a signature takes and returns.

    Attributes:
        inputs: Shapes by name.
        outputs: Shapes by name.
    """

    inputs: Shapes
    outputs: Shapes


def signature_shapes(flatbuffer: bytes) -> SignatureShapes:
    """Reads the first signature of a TFLite model.

    Args:
        flatbuffer: A TFLite model with a signature. Axes that it leaves open are 1.

    Returns:
        Its inputs and outputs.
    """
    from ai_edge_litert import schema_py_generated as schema

    model = schema.Model.GetRootAs(flatbuffer, 0)
    signature = model.SignatureDefs(0)
    graph = model.Subgraphs(signature.SubgraphIndex())

    def shapes(tensors: list[Any]) -> Shapes:
        return {
            tensor.Name().decode(): tuple(
                graph.Tensors(tensor.TensorIndex()).Shape(axis)
                for axis in range(graph.Tensors(tensor.TensorIndex()).ShapeLength())
            )
            for tensor in tensors
        }

    return SignatureShapes(
        shapes([signature.Inputs(index) for index in range(signature.InputsLength())]),
        shapes([signature.Outputs(index) for index in range(signature.OutputsLength())]),
    )
