"""Which layers need the Flex delegate."""

from __future__ import annotations

from collections import defaultdict

from advisor.export.layer_scopes import LayerScopes
from advisor.litert.operators import FLEX_PREFIX, read_operators


def flex_layers(flatbuffer: bytes, names: LayerScopes) -> dict[str, tuple[str, ...]]:
    """The operators of a TFLite model that need the Flex delegate, with the layers that they compute.

    Args:
        flatbuffer: A TFLite model.
        names: The scopes of the layers of the model it was converted from.

    Returns:
        Operator names, as `operator_table` has them, to names of layers, in the order in which they run.
    """
    found: defaultdict[str, dict[str, None]] = defaultdict(dict)
    for operator in read_operators(flatbuffer):
        if operator.name.startswith(FLEX_PREFIX):
            found[operator.name][names.of(operator)] = None
    return {operator: tuple(layers) for operator, layers in sorted(found.items())}
