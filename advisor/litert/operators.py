"""The operators in a TFLite flatbuffer, read from its schema."""

from __future__ import annotations

from collections import Counter
from functools import cache
from typing import Any

FLEX_PREFIX = "Flex"


def operator_table(flatbuffer: bytes) -> dict[str, int]:
    """Counts the operators of all subgraphs, the bodies of loops included.

    Args:
        flatbuffer: A TFLite model.

    Returns:
        Operator names, as LiteRT's schema writes them, to counts; the most frequent first, equals by name.
    """
    from ai_edge_litert import schema_py_generated as schema

    model = schema.Model.GetRootAs(flatbuffer, 0)
    names = operator_names(model)
    counts: Counter[str] = Counter()
    for index in range(model.SubgraphsLength()):
        graph = model.Subgraphs(index)
        counts.update(names[graph.Operators(i).OpcodeIndex()] for i in range(graph.OperatorsLength()))
    return dict(sorted(counts.items(), key=lambda item: (-item[1], item[0])))


def flex_operators(operators: dict[str, int]) -> tuple[str, ...]:
    """Those of the operators that need the Flex delegate.

    Args:
        operators: An operator table.

    Returns:
        Their names.

    Example:
    >>> flex_operators({"CONV_2D": 3, "FlexErf": 1})
    ('FlexErf',)
    """
    return tuple(name for name in operators if name.startswith(FLEX_PREFIX))


def operator_names(model: Any) -> list[str]:
    """The names of a model's operator codes, by their index.

    Args:
        model: A `Model` of LiteRT's schema.
    """
    return [_operator_name(model.OperatorCodes(index)) for index in range(model.OperatorCodesLength())]


def _operator_name(code: Any) -> str:
    custom = code.CustomCode()
    if custom is not None:
        return custom.decode()
    # Codes above 127 do not fit the older, one-byte field.
    return _builtin_names()[max(code.BuiltinCode(), code.DeprecatedBuiltinCode())]


@cache
def _builtin_names() -> dict[int, str]:
    from ai_edge_litert import schema_py_generated as schema

    return {code: name for name, code in vars(schema.BuiltinOperator).items() if isinstance(code, int)}
