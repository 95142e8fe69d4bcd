"""The operators in a TFLite flatbuffer, read from its schema."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from functools import cache
from typing import Any

FLEX_PREFIX = "Flex"
LOOP = "WHILE"
CASTS = frozenset({"QUANTIZE", "DEQUANTIZE"})
"""Operators between real numbers and integers."""
_FLOATS = frozenset({"FLOAT16", "FLOAT32", "FLOAT64", "BFLOAT16"})


@dataclass(frozen=True)
class Operator:
    """One operator of a flatbuffer.

    Attributes:
        name: Its name in LiteRT's schema.
        tensors: The names of the tensors it writes; converters put the path of the TensorFlow operation there.
        types: The types of all tensors it reads and writes, as the schema names them.
        output: The signature's output that it writes, at once or as an integer that is cast; None for any other.
    """

    name: str
    tensors: tuple[str, ...]
    types: frozenset[str]
    output: str | None = None

    @property
    def computes_in_float(self) -> bool:
        """Whether it reads or writes floats, and does more than cast them."""
        return self.name not in CASTS and bool(self.types & _FLOATS)


def read_operators(flatbuffer: bytes) -> tuple[Operator, ...]:
    """All operators of all subgraphs, in the order they are run.

    Args:
        flatbuffer: A TFLite model.

    Returns:
        The operators.
    """
    from ai_edge_litert import schema_py_generated as schema

    model = schema.Model.GetRootAs(flatbuffer, 0)
    names = operator_names(model)
    found: list[Operator] = []
    for number in range(model.SubgraphsLength()):
        graph = model.Subgraphs(number)
        operators = [graph.Operators(index) for index in range(graph.OperatorsLength())]
        outputs = _signature_outputs(model) if number == 0 else {}
        for operator in reversed(operators):
            if names[operator.OpcodeIndex()] in CASTS and operator.Outputs(0) in outputs:
                outputs.setdefault(operator.Inputs(0), outputs[operator.Outputs(0)])
        found.extend(_read_operator(graph, operator, names[operator.OpcodeIndex()], outputs) for operator in operators)
    return tuple(found)


def operator_table(flatbuffer: bytes) -> dict[str, int]:
    """Counts the operators of all subgraphs, the bodies of loops included.

    Args:
        flatbuffer: A TFLite model.

    Returns:
        Operator names, as LiteRT's schema writes them, to counts; the most frequent first, equals by name.
    """
    counts = Counter(operator.name for operator in read_operators(flatbuffer))
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


def is_loop_free(flatbuffer: bytes) -> bool:
    """Whether a model has no loops, which recurrent layers are; TensorFlow's calibration for int8 cannot run them.

    Args:
        flatbuffer: A TFLite model.
    """
    return "WHILE" not in operator_table(flatbuffer)


def operator_names(model: Any) -> list[str]:
    """The names of a model's operator codes, by their index.

    Args:
        model: A `Model` of LiteRT's schema.
    """
    return [_operator_name(model.OperatorCodes(index)) for index in range(model.OperatorCodesLength())]


def _read_operator(graph: Any, operator: Any, name: str, outputs: dict[int, str]) -> Operator:
    # An optional input that is not given has the number -1.
    written = [operator.Outputs(index) for index in range(operator.OutputsLength())]
    read = [operator.Inputs(index) for index in range(operator.InputsLength()) if operator.Inputs(index) >= 0]
    return Operator(
        name,
        tuple(graph.Tensors(number).Name().decode() for number in written),
        frozenset(_names_in("TensorType")[graph.Tensors(number).Type()] for number in (*read, *written)),
        next((outputs[number] for number in written if number in outputs), None),
    )


def _signature_outputs(model: Any) -> dict[int, str]:
    """Names of the outputs of the first signature, by the number of their tensor."""
    if not model.SignatureDefsLength():
        return {}
    signature = model.SignatureDefs(0)
    outputs = (signature.Outputs(index) for index in range(signature.OutputsLength()))
    return {output.TensorIndex(): output.Name().decode() for output in outputs}


def _operator_name(code: Any) -> str:
    custom = code.CustomCode()
    if custom is not None:
        return custom.decode()
    # Codes above 127 do not fit the older, one-byte field.
    return _names_in("BuiltinOperator")[max(code.BuiltinCode(), code.DeprecatedBuiltinCode())]


@cache
def _names_in(enumeration: str) -> dict[int, str]:
    from ai_edge_litert import schema_py_generated as schema

    return {code: name for name, code in vars(getattr(schema, enumeration)).items() if isinstance(code, int)}
