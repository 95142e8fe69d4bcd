"""The short form for notebooks."""

import sys

import keras
from keras import layers

from advisor import advise


def test_every_rule_that_spoke_has_a_row(advice):
    html = advice._repr_html_()
    for finding in advice.findings:
        assert f"<td>{finding.code}</td>" in html
    assert html.count("<tr>") == 1 + len({(finding.code, finding.why) for finding in advice.findings})


def test_names_are_text():
    model = keras.Sequential(
        [keras.Input((4,)), layers.Dense(4, name="<script>1<script>"), layers.BatchNormalization()], name="<b>"
    )
    html = advise(model)._repr_html_()
    assert "<script>" not in html
    assert "&lt;script&gt;1" in html


def test_no_library_is_needed(advice, monkeypatch):
    for name in ("matplotlib", "igraph", "jinja2"):
        monkeypatch.setitem(sys.modules, name, None)  # whoever imports it fails
    assert advice._repr_html_()
