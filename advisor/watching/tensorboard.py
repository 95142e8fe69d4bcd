"""Findings and measurements as TensorBoard shows them."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from advisor.facts import Measurement


class TensorBoardLog:
    """Writes an event file: the text of each finding, and a scalar per measurement.

    TensorBoard itself need not be installed.

    Args:
        folder: Where the file goes; TensorBoard shows it as a run.
    """

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        import tensorflow as tf

        self._writer = tf.summary.create_file_writer(os.fspath(folder))

    def tell(self, code: str, text: str, epoch: int) -> None:
        """Write the text of a finding under `advisor/` and its code."""
        from tensorflow.compat.v1 import SummaryMetadata

        plugin = SummaryMetadata.PluginData(plugin_name="text", content=b"")
        metadata = SummaryMetadata(plugin_data=plugin, data_class="DATA_CLASS_TENSOR")
        # Two blanks at the end of a line break it in Markdown.
        self._write(f"advisor/{code}", text.replace("\n    ", "  \n"), epoch, metadata)

    def measure(self, measurements: Mapping[tuple[str, str], Measurement], epoch: int) -> None:
        """Write measurements under `advisor/`, the probe and the path of the layer."""
        from tensorflow.compat.v1 import SummaryMetadata

        plugin = SummaryMetadata.PluginData(plugin_name="scalars", content=b"")
        metadata = SummaryMetadata(plugin_data=plugin, data_class="DATA_CLASS_SCALAR")
        for (probe, path), measurement in measurements.items():
            self._write(f"advisor/{probe}/{path}".rstrip("/"), measurement.value, epoch, metadata)
        self._writer.flush()

    def close(self) -> None:
        """Write what is left."""
        self._writer.close()

    def _write(self, tag: str, value: Any, epoch: int, metadata: Any) -> None:
        import tensorflow as tf

        with self._writer.as_default(), tf.device("CPU:0"):
            tf.summary.write(tag, tf.convert_to_tensor(value), step=epoch, metadata=metadata)
