"""Which layers need the Flex delegate."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

from advisor.export.layer_names import layer_in
from advisor.litert.operators import FLEX_PREFIX, operator_names


def flex_layers(flatbuffer: bytes, graph: Any, layers: frozenset[str]) -> dict[str, tuple[str, ...]]:
    """The operators of a TFLite model that need the Flex delegate, with the layers that they compute.

    An operator's tensors carry the name of its layer, but for those that are outputs of the model. There, all layers
    are named that use this operator of TensorFlow.

    Args:
        flatbuffer: A TFLite model.
        graph: The TensorFlow graph it was converted from.
        layers: The names of the model's layers.

    Returns:
        Operator names, as `operator_table` has them, to names of layers, in the order in which they run.
    """
    found: defaultdict[str, dict[str, None]] = defaultdict(dict)
    for operator, tensors in _flex_operators(flatbuffer):
        scopes = [layer for tensor in tensors if (layer := layer_in(tensor, layers)) is not None]
        known = scopes or _layers_with(operator.removeprefix(FLEX_PREFIX), graph, layers)
        found[operator].update(dict.fromkeys(known))
    return {operator: tuple(names) for operator, names in sorted(found.items())}


def _flex_operators(flatbuffer: bytes) -> list[tuple[str, list[str]]]:
    """Every operator that needs Flex, with the names of the tensors it writes."""
    from ai_edge_litert import schema_py_generated as schema

    model = schema.Model.GetRootAs(flatbuffer, 0)
    names = operator_names(model)
    found = []
    for subgraph in (model.Subgraphs(index) for index in range(model.SubgraphsLength())):
        for operator in (subgraph.Operators(index) for index in range(subgraph.OperatorsLength())):
            name = names[operator.OpcodeIndex()]
            if name.startswith(FLEX_PREFIX):
                outputs = [subgraph.Tensors(int(i)).Name().decode() for i in operator.OutputsAsNumpy()]
                # A tensor that stands for several has all their names.
                found.append((name, [part for output in outputs for part in output.split(";")]))
    return found


def _layers_with(operator: str, graph: Any, layers: frozenset[str]) -> list[str]:
    definition = graph.as_graph_def()
    nodes = [*definition.node, *(node for function in definition.library.function for node in function.node_def)]
    return [
        layer for node in nodes if node.op == operator and (layer := layer_in(node.name, layers)) is not None
    ]
