"""Latency of an exported model beside Keras's own export."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from advisor.export.keras_export import KerasExport
from advisor.export.report import THREADS
from advisor.export.signature import Signature
from advisor.litert.interpreter import LiteRTModel
from advisor.litert.latency import interleaved_seconds, median_milliseconds, median_ratio

BUDGET_SECONDS = 1.0


def side_by_side(
    exported: bytes, by_keras: KerasExport, signature: Signature, batch: Mapping[str, np.ndarray]
) -> dict[str, Any]:
    """Times an exported model and Keras's own export in turn.

    Args:
        exported: The exported model.
        by_keras: Keras's own; where it cannot be run, only the exported model is timed.
        signature: The inputs of both.
        batch: The inputs of one invocation.

    Returns:
        The figures by the names the report has for them.
    """
    figures: dict[str, dict[int, float]] = {"latency_ms": {}, "keras_latency_ms": {}, "latency_ratio": {}}
    for threads in THREADS:
        models = {"exported": LiteRTModel(exported, threads)}
        peer = by_keras.load(signature, threads)
        if peer is not None:
            models["keras"] = peer
        seconds = interleaved_seconds(models, batch, budget_seconds=BUDGET_SECONDS)
        figures["latency_ms"][threads] = median_milliseconds(seconds["exported"])
        if peer is not None:
            figures["keras_latency_ms"][threads] = median_milliseconds(seconds["keras"])
            figures["latency_ratio"][threads] = median_ratio(seconds["exported"], seconds["keras"])
    return figures
