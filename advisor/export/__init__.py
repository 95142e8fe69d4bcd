"""Export to mobile: prepare, convert, verify, time."""

from advisor.export.errors import ExportError
from advisor.export.report import ExportReport
from advisor.export.tflite import export_tflite

__all__ = ["ExportError", "ExportReport", "export_tflite"]
