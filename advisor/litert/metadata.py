"""What a `.tflite` file says about itself: a description, and an entry of JSON that this package writes."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ENTRY = "keras_normpack"
"""Name of the metadata entry."""
IDENTIFIER = b"TFL3"
ALIGNMENT = 16
"""LiteRT's schema wants weights at multiples of so many bytes. TensorFlow's converter packs its files anew, in Python,
which forgets it."""


def with_metadata(flatbuffer: bytes, entry: Mapping[str, Any], description: str) -> bytes:
    """A TFLite model with a description and a metadata entry, and with its weights aligned as the schema wants them.

    The names of tensors go, but for those of inputs and outputs: they are paths of TensorFlow operations, of everything
    that went into an operator, and take up to a third of the file of a small model, and of an unrolled loop most of it.
    All else stays: operators, tensors, signatures and other metadata. Equal arguments give equal bytes.

    Args:
        flatbuffer: A TFLite model.
        entry: What to write, in types that JSON has; an earlier entry is replaced.
        description: A line for people.

    Returns:
        The new model.
    """
    import flatbuffers
    from ai_edge_litert import schema_py_generated as schema

    model = schema.ModelT.InitFromPackedBuf(flatbuffer)
    model.description = description
    entries = model.metadata or []
    own = next((one for one in entries if one.name == ENTRY.encode()), None)
    if own is None:
        own = schema.MetadataT(name=ENTRY.encode(), buffer=len(model.buffers))
        model.buffers.append(schema.BufferT())
        model.metadata = [*entries, own]
    model.buffers[own.buffer].data = _bytes_of(entry)
    for graph in model.subgraphs:
        _forget_inner_names(graph)
    model.buffers = [_AlignedBuffer(buffer) for buffer in model.buffers]
    # Room for all of it, for a builder that grows copies what it has.
    builder = flatbuffers.Builder(len(flatbuffer) + len(flatbuffer) // 8 + 4096)
    builder.Finish(model.Pack(builder), IDENTIFIER)
    return bytes(builder.Output())


def read_metadata(model: bytes | str | os.PathLike[str]) -> dict[str, Any] | None:
    """The entry that `export_tflite` writes into a file: what it was made from, how, and how well it agreed.

    Args:
        model: The path of a `.tflite` file, or its content.

    Returns:
        The entry, or None where the file has none.

    Raises:
        ValueError: If this is no TFLite model.

    Example:
    >>> read_metadata(b"something else")
    Traceback (most recent call last):
        ...
    ValueError: this must be a TFLite model. Received: 14 bytes that begin with b'somethin'
    """
    from ai_edge_litert import schema_py_generated as schema

    content = model if isinstance(model, bytes) else Path(model).read_bytes()
    if content[4:8] != IDENTIFIER:
        raise ValueError(
            f"this must be a TFLite model. Received: {len(content)} bytes that begin with {bytes(content[:8])!r}"
        )
    root = schema.Model.GetRootAs(content, 0)
    for index in range(root.MetadataLength()):
        if root.Metadata(index).Name() == ENTRY.encode():
            return json.loads(root.Buffers(root.Metadata(index).Buffer()).DataAsNumpy().tobytes())
    return None


def _forget_inner_names(graph: Any) -> None:
    seen_from_outside = {*graph.inputs, *graph.outputs}
    for index, tensor in enumerate(graph.tensors):
        if index not in seen_from_outside:
            tensor.name = b""


def _bytes_of(entry: Mapping[str, Any]) -> Any:
    import numpy as np

    text = json.dumps(entry, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return np.frombuffer(text.encode(), np.uint8)


@dataclass
class _AlignedBuffer:
    """A buffer that the flatbuffer's builder places at a multiple of `ALIGNMENT`."""

    buffer: Any

    def Pack(self, builder: Any) -> int:  # noqa: N802  the builder calls it so
        """Writes the buffer."""
        if self.buffer.data is not None:
            builder.Prep(ALIGNMENT, len(self.buffer.data))
        return self.buffer.Pack(builder)
