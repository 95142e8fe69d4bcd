"""ModelGraph: a read-only view of any Keras model, and the edits that name its nodes."""

from advisor.graph.edits import (
    Configure,
    ConfigureLoss,
    Edit,
    InsertAfter,
    InsertBefore,
    LayerSpec,
    ReadVariable,
    Remove,
    Replace,
    SetTrainable,
    Substitute,
    WeightRule,
    Wrap,
    refusal_of,
)
from advisor.graph.model_graph import ModelGraph, Node, Scope, Source, keep_whole, read_graph

__all__ = [
    "Configure",
    "ConfigureLoss",
    "Edit",
    "InsertAfter",
    "InsertBefore",
    "LayerSpec",
    "ModelGraph",
    "Node",
    "ReadVariable",
    "Remove",
    "Replace",
    "Scope",
    "SetTrainable",
    "Source",
    "Substitute",
    "WeightRule",
    "Wrap",
    "keep_whole",
    "read_graph",
    "refusal_of",
]
