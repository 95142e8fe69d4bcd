import dataclasses
import json
from pathlib import Path

from advisor.export.report import ExportReport

REPORT = ExportReport(
    path=Path("out/model.tflite"),
    batch_size=1,
    inputs={"image": (1, 8, 8, 3)},
    outputs=("label",),
    size_bytes=1500,
    plain_size_bytes=3000,
    operators={"CONV_2D": 2, "MEAN": 1},
    plain_operators={"CONV_2D": 2, "MEAN": 1, "MUL": 2},
    preparation=("folded 2 BatchNormalization",),
    latency_ms=0.25,
    plain_latency_ms=0.5,
    latency_ratio=0.49,
    max_abs_difference=2e-6,
    max_relative_difference=3e-6,
    mean_abs_difference=1e-6,
    top1_agreement=0.75,
    verified_samples=4,
)


def test_the_table_shows_the_figures_beside_the_plain_conversion():
    assert str(REPORT).splitlines() == [
        "out/model.tflite",
        "                     exported     plain  ratio",
        "size                   1.5 kB    3.0 kB   0.50",
        "latency, one thread  0.250 ms  0.500 ms   0.49",
        "operators                   3         5",
        "difference from Keras: 2.0e-06 absolute, 3.0e-06 relative, top-1 agreement 75.0% (4 samples)",
        "operators: CONV_2D 2, MEAN 1",
        "prepared: folded 2 BatchNormalization",
    ]


def test_what_was_not_measured_is_not_made_up():
    unmeasured = ExportReport(
        **{f.name: getattr(REPORT, f.name) for f in dataclasses.fields(REPORT)[:8]}, notes=("why",)
    )
    text = str(unmeasured)
    assert "difference from Keras: not verified" in text
    assert "latency, one thread         -       -      -" in text
    assert text.endswith("note: why")


def test_the_dictionary_survives_json():
    assert json.loads(json.dumps(REPORT.to_dict())) == REPORT.to_dict()
    assert REPORT.to_dict()["inputs"] == {"image": [1, 8, 8, 3]}
