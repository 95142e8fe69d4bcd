"""Export: prepare, convert, verify, time."""

from advisor.export.errors import ExportError
from advisor.export.export import export_model
from advisor.export.onnx import export_onnx
from advisor.export.report import ExportReport
from advisor.export.saved_model import export_saved_model
from advisor.export.tflite import export_tflite
from advisor.litert.metadata import read_metadata

__all__ = [
    "ExportError",
    "ExportReport",
    "export_model",
    "export_onnx",
    "export_saved_model",
    "export_tflite",
    "read_metadata",
]
