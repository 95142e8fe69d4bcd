import dataclasses
import json
import os
from html.parser import HTMLParser
from pathlib import Path

import pytest

from advisor.export.layer_errors import LayerError
from advisor.export.report import ExportReport
from advisor.export.task_metric import TaskMetric
from tests.json_schemas import violations

SCHEMA = json.loads((Path(__file__).parents[3] / "docs" / "export_report.schema.json").read_text("utf-8"))

REPORT = ExportReport(
    path=Path("out/model.tflite"),
    batch_size=1,
    inputs={"image": (1, 8, 8, 3)},
    outputs=("label",),
    size_bytes=1500,
    keras_size_bytes=3000,
    operators={"CONV_2D": 2, "MEAN": 1},
    keras_operators={"CONV_2D": 2, "MEAN": 1, "MUL": 2},
    preparation=("folded 2 BatchNormalization",),
    lowered=("1 GroupNormalization as x · a + b",),
    latency_ms={1: 0.25, 2: 0.2},
    keras_latency_ms={1: 0.5, 2: 0.25},
    latency_ratio={1: 0.49, 2: 0.81},
    max_abs_difference=2e-6,
    max_relative_difference=3e-6,
    mean_abs_difference=1e-6,
    top1_agreement=0.75,
    verified_samples=4,
    model_name="net",
    arena_bytes=1200,
    keras_arena_bytes=2400,
)
REQUIRED = {field.name: getattr(REPORT, field.name) for field in dataclasses.fields(REPORT)[:8]}
QUANTIZED = dataclasses.replace(
    REPORT,
    precision="int8_float_fallback",
    tolerance=0.2,
    relative_rms_difference=0.0123,
    representative_samples=100,
    representative_seed=7,
    float_operators=("ERF (layer 'gelu')",),
    task_metrics=(TaskMetric("label", "accuracy", 0.913, 0.911, 1000),),
    layer_errors=(
        LayerError("conv", "Conv2D", 0.02, 0.03, 0.02),
        LayerError("pool", "MaxPooling2D", 0.02, 0.03, 0.0),
        LayerError("head", "Dense", 0.05, 0.08, 0.0458),
    ),
    advice=("head: clip its weights",),
)
UNMEASURED = ExportReport(**REQUIRED, notes=("why",))
WITHOUT_PEER = ExportReport(
    **REQUIRED
    | {
        "path": Path("net.onnx"),
        "batch_size": None,
        "inputs": {"image": (None, 8)},
        "keras_size_bytes": None,
        "keras_operators": {},
    },
    format="onnx",
    max_abs_difference=0.0,
    max_relative_difference=0.0,
    mean_abs_difference=0.0,
)


def test_the_table_shows_the_figures_beside_keras_s_own():
    assert str(REPORT).splitlines() == [
        "out/model.tflite",
        "                    exported  by Keras  ratio",
        "size                  1.5 kB    3.0 kB   0.50",
        "peak arena memory     1.2 kB    2.4 kB   0.50",
        "latency, 1 thread   0.250 ms  0.500 ms   0.49",
        "latency, 2 threads  0.200 ms  0.250 ms   0.81",
        "operators                  3         5",
        "  CONV_2D                  2         2",
        "  MEAN                     1         1",
        "  MUL                      -         2",
        "precision: float32",
        "difference from Keras: 2.0e-06 absolute, 3.0e-06 relative, top-1 agreement 75.0%",
        "  (4 samples)",
        "prepared: folded 2 BatchNormalization",
        "written for LiteRT: 1 GroupNormalization as x · a + b",
    ]


def test_where_keras_has_no_export_to_compare_with_there_is_no_column_for_it():
    assert str(WITHOUT_PEER).splitlines() == [
        "net.onnx",
        "           exported",
        "size         1.5 kB",
        "operators         3",
        "  CONV_2D         2",
        "  MEAN            1",
        "precision: float32",
        "difference from Keras: 0.0e+00 absolute, 0.0e+00 relative (0 samples)",
    ]


def test_what_was_not_measured_is_not_made_up():
    text = str(UNMEASURED)
    assert "difference from Keras: not verified" in text
    assert "latency, 1 thread          -         -      -" in text
    assert "arena" not in text
    assert text.endswith("note: why")


def test_flex_operators_are_named_with_their_layers():
    report = dataclasses.replace(REPORT, flex={"FlexSinh": ("wave", "wave_2"), "FlexErf": ("gelu",)})
    assert "needs the Flex delegate: FlexSinh, for 'wave', 'wave_2'\n" in str(report)
    assert "needs the Flex delegate: FlexErf, for 'gelu'\n" in f"{report}\n"


def test_what_quantization_costs_is_said():
    lines = str(QUANTIZED).splitlines()
    start = lines.index("precision: int8_float_fallback, ranges from 100 samples (seed 7)")
    assert lines[start:] == [
        "precision: int8_float_fallback, ranges from 100 samples (seed 7)",
        "difference from Keras: 2.0e-06 absolute, 3.0e-06 relative, 1.2e-02 relative root",
        "  mean square, top-1 agreement 75.0% (4 samples)",
        "task metric: accuracy of 'label' 91.3% in Keras, 91.1% exported (1000 labelled",
        "  samples)",
        "layers that lose most: head 4.6% (of 5%), conv 2% (of 2%)",
        "computed in float: ERF (layer 'gelu')",
        "prepared: folded 2 BatchNormalization",
        "written for LiteRT: 1 GroupNormalization as x · a + b",
        "advice: head: clip its weights",
    ]
    shown = " ".join("".join(Page(QUANTIZED.to_html()).text).split())
    assert "accuracy of 'label' 91.3% in Keras" in shown
    assert "head: clip its weights" in shown


def test_text_keeps_to_80_columns():
    long = dataclasses.replace(REPORT, notes=("word " * 60,), preparation=("folded 2 BatchNormalization",) * 9)
    assert max(map(len, str(long).splitlines())) <= 80


@pytest.mark.parametrize("report", [REPORT, QUANTIZED, UNMEASURED, WITHOUT_PEER])
def test_json_follows_its_published_schema(report):
    assert violations(json.loads(report.to_json()), SCHEMA, SCHEMA) == []
    assert json.loads(report.to_json()) == report.to_dict()


def test_json_holds_what_was_measured():
    report = REPORT.to_dict()
    assert report["inputs"] == {"image": [1, 8, 8, 3]}
    assert report["latency_ms"] == {"1": 0.25, "2": 0.2}
    assert report["path"] == str(Path("out/model.tflite"))
    assert violations(report | {"size_bytes": "small", "surprise": 1}, SCHEMA, SCHEMA) == [
        "report.size_bytes is a str, not integer",
        "report.surprise is not described",
    ]


class Page(HTMLParser):
    """Text and attributes of a page, and whether its elements are closed in order."""

    def __init__(self, html):
        super().__init__()
        self.open, self.text, self.attributes, self.widths = [], [], [], []
        self.feed(html)
        self.close()

    def handle_starttag(self, tag, attributes):
        self.attributes += [name for name, _ in attributes]
        if tag == "rect":
            self.widths.append(float(dict(attributes)["width"]))
        elif tag != "meta":
            self.open.append(tag)

    def handle_endtag(self, tag):
        if tag != "rect":
            assert self.open.pop() == tag

    def handle_startendtag(self, tag, attributes):
        self.handle_starttag(tag, attributes)

    def handle_data(self, data):
        if "style" not in self.open:
            self.text.append(data)


def test_html_shows_what_the_text_shows():
    page = Page(REPORT.to_html())
    assert page.open == []
    shown = " ".join("".join(page.text).split())
    for said in ("net", "TFLite at out/model.tflite", "1 × 8 × 8 × 3", "0.250 ms", "0.500 ms", "0.49", "1.2 kB", "MUL"):
        assert said in shown
    assert "prepared" in shown
    assert "folded 2 BatchNormalization" in shown
    # Size and memory are half as large; latencies are drawn as they were measured side by side.
    assert page.widths == [50, 100, 50, 100, 49, 100, 81, 100]
    assert REPORT._repr_html_() == REPORT.to_html()


def test_the_longer_bar_is_the_larger_figure():
    slower = dataclasses.replace(REPORT, latency_ratio={1: 1.25, 2: 2.0})
    assert Page(slower.to_html()).widths[4:] == [100, 80, 100, 50]


def test_html_without_anything_to_compare_with_draws_nothing():
    page = Page(WITHOUT_PEER.to_html())
    assert page.widths == []
    shown = " ".join("".join(page.text).split())
    assert "by Keras" not in shown
    assert "any × 8" in shown


def test_names_cannot_break_the_page():
    hostile = dataclasses.replace(
        REPORT, model_name="<script>alert(1)</script>", notes=("<img src=x>",), outputs=('"><b>',)
    )
    html = hostile.to_html()
    assert "<script" not in html
    assert "<img" not in html
    assert Page(html).open == []
    assert "<script>alert(1)</script>" in "".join(Page(html).text)


def test_html_needs_no_other_file():
    html = REPORT.to_html()
    assert "http" not in html
    assert "url(" not in html
    assert not {"src", "href", "onload"} & set(Page(html).attributes)
    assert "prefers-color-scheme: dark" in html


def test_the_page_is_saved_whole(tmp_path):
    REPORT.save_html(tmp_path / "report.html")
    html = (tmp_path / "report.html").read_text("utf-8")
    assert html.startswith("<!doctype html>")
    assert REPORT.to_html() in html
    assert Page(html).open == []
    with pytest.raises(ValueError, match=r"must end in '.html'"):
        REPORT.save_html(tmp_path / "report.txt")
    assert os.listdir(tmp_path) == ["report.html"]
