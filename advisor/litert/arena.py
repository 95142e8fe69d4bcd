"""The memory LiteRT plans for the tensors of a model, computed from the flatbuffer."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import cache
from math import inf, prod
from typing import Any

from advisor.litert.interpreter import resized_bytes
from advisor.litert.operators import operator_names

ALIGNMENT = 64
WRITES_INTO_INPUTS = {"ADD": 2, "SUB": 2, "MUL": 2, "DIV": 2, "SOFTMAX": 1, "DYNAMIC_UPDATE_SLICE": 1}
"""Operators that may write over one of so many first inputs, where nothing else reads it."""
KEEPS_DATA = {"RESHAPE", "EXPAND_DIMS", "SQUEEZE", "BITCAST"}
"""Operators whose output is their first input, seen in another shape."""
SHARED_FROM_BYTES = 5

_BITS = {
    "BOOL": 8, "INT4": 4, "INT8": 8, "UINT8": 8, "INT16": 16, "UINT16": 16, "FLOAT16": 16, "BFLOAT16": 16, "INT32": 32,
    "UINT32": 32, "FLOAT32": 32, "INT64": 64, "UINT64": 64, "FLOAT64": 64, "COMPLEX64": 64, "COMPLEX128": 128,
}  # fmt: skip


@dataclass(frozen=True)
class Step:
    """An operator with the tensors it reads and writes, by number.

    Attributes:
        name: LiteRT's name of the operator.
        inputs: Tensors it reads.
        outputs: Tensors it writes.
    """

    name: str
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]


@dataclass(frozen=True)
class Graph:
    """What memory planning reads of a subgraph.

    Attributes:
        sizes: Bytes of the tensors to find a place for, by number; constants and variables are none of them.
        steps: The operators, in the order in which they run.
        inputs: Tensors that are fed.
        outputs: Tensors that are read at the end.
    """

    sizes: Mapping[int, int]
    steps: tuple[Step, ...]
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]


@dataclass(frozen=True)
class Lifetime:
    """A piece of memory and the operators between which it must be kept.

    Attributes:
        size: Bytes.
        first: Number of the operator that writes it; 0 for an input.
        last: Number of the last operator that reads it; infinite where it is kept to the end.
    """

    size: int
    first: float
    last: float

    @property
    def whole_run(self) -> bool:
        """Whether it is kept from the first operator to the end."""
        return self.first == 0 and self.last == inf

    def meets(self, other: Lifetime) -> bool:
        """Whether both are kept at the same time."""
        return self.first <= other.last and other.first <= self.last


def arena_bytes(flatbuffer: bytes, shapes: Mapping[str, tuple[int, ...]] | None = None) -> int:
    """Peak memory of the tensors that LiteRT keeps between operators, as its arena planner places them.

    Tensors are placed by size, the largest first, each into the tightest gap that is free while it lives, at multiples
    of 64 bytes; arithmetic writes over its input and a reshape shares it where nothing else reads it. Every subgraph,
    such as the body of a loop, has an arena of its own; they are added. Weights, variables, the scratch memory of
    kernels and what a delegate keeps for itself are not counted: XNNPACK, which takes over most of a float model, plans
    the tensors inside its part in much the same way, and keeps a packed copy of the weights besides.

    Args:
        flatbuffer: A TFLite model.
        shapes: Shapes of the inputs, by name, for a model that leaves axes open; None takes the model's.

    Returns:
        Bytes.

    Raises:
        RuntimeError: If shapes are given and LiteRT cannot give the model these.

    References:
        `tensorflow/lite/arena_planner.cc` and `tensorflow/lite/simple_memory_arena.cc` in TensorFlow.
    """
    from ai_edge_litert import schema_py_generated as schema

    model = schema.Model.GetRootAs(flatbuffer, 0)
    graphs = [_graph(model, model.Subgraphs(index)) for index in range(model.SubgraphsLength())]
    if shapes is not None:
        resized = resized_bytes(flatbuffer, shapes)
        graphs[0] = replace(graphs[0], sizes={tensor: resized[tensor] for tensor in graphs[0].sizes})
    return sum(planned_bytes(lifetimes(graph)) for graph in graphs)


def lifetimes(graph: Graph) -> tuple[Lifetime, ...]:
    """When the tensors of a graph are needed; tensors that share memory count once.

    Args:
        graph: The graph.

    Returns:
        One entry per piece of memory, by the number of its tensor.
    """
    shared = _shared(graph)
    readers = Counter((*graph.inputs, *graph.outputs))
    readers.update(shared.get(tensor, tensor) for step in graph.steps for tensor in step.inputs)
    first: dict[int, int] = dict.fromkeys(graph.inputs, 0)
    last: dict[int, int] = {}
    for number, step in enumerate(graph.steps):
        for tensor in step.outputs:
            first.setdefault(tensor, number)
        for tensor in step.inputs:
            memory = shared.get(tensor, tensor)
            readers[memory] -= 1
            if readers[memory] == 0:
                last[memory] = number
    return tuple(
        Lifetime(size, first[tensor], last.get(tensor, inf))
        for tensor, size in sorted(graph.sizes.items())
        if tensor in first and tensor not in shared
    )


def planned_bytes(pieces: Iterable[Lifetime]) -> int:
    """Memory that holds all pieces, placed greedily, the largest first.

    Args:
        pieces: What to place.

    Returns:
        Bytes.

    Example:
    >>> planned_bytes([Lifetime(100, 0, 1), Lifetime(60, 1, 2), Lifetime(100, 2, 3)])
    188
    """
    # What is kept for the whole run comes first, in its own order.
    ordered = sorted(pieces, key=lambda p: (not p.whole_run, *((0, 0) if p.whole_run else (-p.size, p.first))))
    placed: list[tuple[int, Lifetime]] = []
    for piece in ordered:
        placed.append((_tightest_gap(piece, placed), piece))
        placed.sort(key=lambda entry: entry[0])
    return max((offset + piece.size for offset, piece in placed), default=0)


def most_alive_bytes(pieces: Iterable[Lifetime]) -> int:
    """The most bytes that are kept at one operator: no plan needs less.

    Args:
        pieces: What is kept.

    Returns:
        Bytes.

    Example:
    >>> most_alive_bytes([Lifetime(100, 0, 1), Lifetime(60, 1, 2), Lifetime(100, 2, 3)])
    160
    """
    pieces = tuple(pieces)
    return max(
        (sum(p.size for p in pieces if p.first <= now <= p.last) for now in {p.first for p in pieces}), default=0
    )


def _tightest_gap(piece: Lifetime, placed: list[tuple[int, Lifetime]]) -> int:
    end, best, best_gap = 0, None, inf
    for offset, other in placed:
        if not piece.meets(other):
            continue
        start = _aligned(end)
        if start + piece.size <= offset and offset - start < best_gap:
            best, best_gap = start, offset - end
        end = max(end, offset + other.size)
    return _aligned(end) if best is None else best


def _aligned(offset: int) -> int:
    return -(-offset // ALIGNMENT) * ALIGNMENT


def _shared(graph: Graph) -> dict[int, int]:
    """Tensors that lie in the memory of another one."""
    readers = Counter((*graph.inputs, *graph.outputs))
    readers.update(tensor for step in graph.steps for tensor in step.inputs)
    shared: dict[int, int] = {}
    for step in graph.steps:
        if not step.outputs or step.outputs[0] in graph.outputs:
            continue
        output = step.outputs[0]
        for tensor in step.inputs[: _sharable_inputs(step.name)]:
            if tensor not in graph.sizes or tensor in graph.inputs:
                continue
            memory, size = shared.get(tensor, tensor), graph.sizes[tensor]
            read_elsewhere = max(readers[tensor], readers[memory]) > 1
            changed = step.name in WRITES_INTO_INPUTS
            if changed and (read_elsewhere or size < SHARED_FROM_BYTES):
                continue
            if size == graph.sizes.get(output):
                shared[output] = memory
                break
    return shared


def _sharable_inputs(name: str) -> int:
    return 1 if name in KEEPS_DATA else WRITES_INTO_INPUTS.get(name, 0)


def _graph(model: Any, subgraph: Any) -> Graph:
    names = operator_names(model)
    sizes = {
        index: _size(subgraph.Tensors(index))
        for index in range(subgraph.TensorsLength())
        if _is_planned(model, subgraph.Tensors(index))
    }
    steps = tuple(
        Step(names[code.OpcodeIndex()], _present(code.InputsAsNumpy()), _present(code.OutputsAsNumpy()))
        for code in (subgraph.Operators(index) for index in range(subgraph.OperatorsLength()))
    )
    return Graph(sizes, steps, _present(subgraph.InputsAsNumpy()), _present(subgraph.OutputsAsNumpy()))


def _is_planned(model: Any, tensor: Any) -> bool:
    return model.Buffers(tensor.Buffer()).DataLength() == 0 and not tensor.IsVariable()


def _size(tensor: Any) -> int:
    # Strings, resources and variants are kept elsewhere.
    bits = _BITS.get(_type_names()[tensor.Type()], 0)
    return -(-prod(_present(tensor.ShapeAsNumpy())) * bits // 8)


@cache
def _type_names() -> dict[int, str]:
    from ai_edge_litert import schema_py_generated as schema

    return {code: name for name, code in vars(schema.TensorType).items() if isinstance(code, int)}


def _present(numbers: Any) -> tuple[int, ...]:
    """A vector of the flatbuffer without the -1 of optional tensors; it is the number 0 where it is missing."""
    return tuple(int(number) for number in numbers if number >= 0) if hasattr(numbers, "__len__") else ()
