"""Random inputs that a model accepts, for comparing two models and for warming up."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import keras
import numpy as np

from advisor.graph.keras_internals import layer_tree
from advisor.graph.model_graph import ModelGraph, Node, read_graph

# Sizes to try for an axis of unknown length, in pairs: for sequences, where short ones do, and for images, where deep
# networks need large ones and U-Nets powers of two.
_UNKNOWN_SIZES = ((8, 32), (16, 64), (32, 128), (64, 256), (128, 16), (4, 8), (1, 1))
_SEQUENCE_RANK = 3
_WORDS_IN_TEXT = 6


def sample_inputs(model: keras.Model, batch_size: int = 2, seed: int = 0) -> Any:
    """Random inputs for a model, in the structure, shapes and dtypes of its `Input`s.

    Floats are standard normal, or uniform on 0 to 255 where a `Rescaling` reads them; integers stay inside the range
    of the `Embedding` that reads them, and end in padding where it masks zeros; strings are words that the lookup or
    text layer knows that reads them.

    Args:
        model: Built model whose calls are known.
        batch_size: Samples, at least 1; a batch size fixed by `Input(batch_shape=…)` wins.
        seed: Seed of the random numbers; equal seeds give equal inputs.

    Returns:
        NumPy arrays of shape `(batch, …)` in the structure of `model.input`. An axis of unknown size gets one that
        the model accepts.

    Raises:
        ValueError: If the model has no graph to read the inputs from, accepts none of the sizes tried for its unknown
            axes, or `batch_size` is below 1.

    Example:
    >>> import keras
    >>> model = keras.Sequential([keras.Input((None,), dtype="int32"), keras.layers.Embedding(5, 2)])
    >>> tokens = sample_inputs(model, batch_size=3)
    >>> tokens.shape, bool(tokens.max() < 5)
    ((3, 8), True)
    """
    if batch_size < 1:
        raise ValueError(f"`batch_size` must be at least 1. Received: batch_size={batch_size}")
    graph = read_graph(model)
    structure = graph.root.structure
    if structure is None:
        raise ValueError(
            f"Inputs can be sampled only for a built model whose calls can be read. Received: `{model.name}` "
            f"({type(model).__name__}); call it on data or give it an `Input`"
        )
    generator = np.random.default_rng(seed)
    arrays = [
        _draw(graph, node, shape, generator)
        for node, shape in zip(graph.inputs, _shapes(model, structure, batch_size), strict=True)
    ]
    return keras.tree.pack_sequence_as(structure, arrays)


def _shapes(model: Any, structure: Any, batch_size: int) -> list[tuple[int, ...]]:
    """Full shapes of the flat inputs that the model accepts."""
    tensors = keras.tree.flatten(structure)
    fixed_batch = next((tensor.shape[0] for tensor in tensors if tensor.shape[0] is not None), batch_size)
    if all(None not in tensor.shape[1:] for tensor in tensors):
        return [(fixed_batch, *tensor.shape[1:]) for tensor in tensors]
    for sequence_size, image_size in _UNKNOWN_SIZES:
        shapes = [
            (fixed_batch, *(_known(size, sequence_size, image_size, len(tensor.shape)) for size in tensor.shape[1:]))
            for tensor in tensors
        ]
        if _accepts(model, structure, shapes):
            return shapes
    raise ValueError(
        f"`{model.name}` accepts none of the sizes tried for its inputs of unknown size. "
        f"Received: input shapes {[tensor.shape for tensor in tensors]}; give `Input` a full shape"
    )


def _known(size: int | None, sequence_size: int, image_size: int, rank: int) -> int:
    if size is not None:
        return size
    return sequence_size if rank <= _SEQUENCE_RANK else image_size


def _accepts(model: Any, structure: Any, shapes: list[tuple[int, ...]]) -> bool:
    tensors = keras.tree.flatten(structure)
    specs = [keras.KerasTensor(shape, tensor.dtype) for shape, tensor in zip(shapes, tensors, strict=True)]
    try:
        outputs = model.compute_output_spec(keras.tree.pack_sequence_as(structure, specs))
    except (ValueError, TypeError):
        return False
    return all(0 not in output.shape for output in keras.tree.flatten(outputs))


def _draw(graph: ModelGraph, node: Node, shape: tuple[int, ...], generator: np.random.Generator) -> np.ndarray:
    dtype = node.operation.dtype
    readers = list(_readers(graph, node.path))
    if dtype == "string":
        return _strings(shape, readers, generator)
    # NumPy has no bfloat16; Keras casts inputs to the dtype of its `Input`.
    dtype = "float32" if dtype == "bfloat16" else dtype
    if dtype == "bool":
        return generator.integers(0, 2, shape).astype(bool)
    known = _known_entries(readers, keras.layers.IntegerLookup)
    if known:
        return generator.choice(known, shape).astype(dtype)
    sizes = [layer.input_dim for layer in readers if isinstance(layer, keras.layers.Embedding)]
    if sizes:
        padded = any(getattr(layer, "mask_zero", False) for layer in readers)
        return _tokens(shape, min(sizes), padded, generator).astype(dtype)
    categories = [layer.num_tokens for layer in readers if isinstance(layer, keras.layers.CategoryEncoding)]
    if categories:
        return generator.integers(0, min(categories), shape).astype(dtype)
    if dtype == "uint8" or any(isinstance(layer, keras.layers.Rescaling) for layer in readers):
        return generator.uniform(0, 256, shape).astype("uint8").astype(dtype)
    if dtype.startswith(("int", "uint")):
        # Unknown meaning: 0 and 1 are valid as counts, flags, masks and indices alike.
        return generator.integers(0, 2, shape).astype(dtype)
    return generator.standard_normal(shape).astype(dtype)


def _tokens(shape: tuple[int, ...], size: int, padded: bool, generator: np.random.Generator) -> np.ndarray:
    """Indices below `size`; where zeros are padding, every other sequence ends in some, as real ones do."""
    tokens = generator.integers(1 if padded and size > 1 else 0, size, shape)
    if padded and len(shape) > 1:
        tokens[1::2, ..., shape[-1] - shape[-1] // 4 :] = 0
    return tokens


def _strings(shape: tuple[int, ...], readers: Sequence[Any], generator: np.random.Generator) -> np.ndarray:
    """Words that a reader knows; several in a row where a text layer splits them."""
    words = _known_entries(readers, (keras.layers.StringLookup, keras.layers.TextVectorization)) or ["a", "b", "c"]
    is_text = any(isinstance(layer, keras.layers.TextVectorization) for layer in readers)
    drawn = generator.choice(words, (*shape, _WORDS_IN_TEXT if is_text else 1))
    return np.apply_along_axis(" ".join, -1, drawn).astype(object)


def _known_entries(readers: Sequence[Any], lookups: Any) -> list[Any]:
    """What is in the vocabularies of the lookups among the readers."""
    found = (layer.get_vocabulary(include_special_tokens=False) for layer in readers if isinstance(layer, lookups))
    return [entry for vocabulary in found for entry in vocabulary]


def _readers(graph: ModelGraph, path: str) -> Iterator[Any]:
    """The layers that read an input, and those inside them; past weightless ones such as reshapes, slices and casts."""
    seen: set[str] = set()
    frontier = list(graph.consumers(path))
    while frontier:
        consumer = frontier.pop()
        if consumer in seen:
            continue
        seen.add(consumer)
        operation = graph.nodes[consumer].operation
        if isinstance(operation, keras.Layer):
            yield from layer_tree(operation)
            if operation.weights:
                continue
        frontier.extend(graph.consumers(consumer))
