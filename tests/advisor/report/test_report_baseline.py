"""The baseline: findings are known again by rule, layer and model, and by nothing else."""

import json
from pathlib import Path

import keras
import pytest
from hypothesis import given
from hypothesis import strategies as st
from keras import layers

from advisor.graph import read_graph
from advisor.model_source import Source
from advisor.report.baseline import SCHEMA, baseline_of, new_ones, no_longer_found, read_baseline
from advisor.report.identity import Identity, fingerprints, names_in

FILE = Source("models/net.keras", Path("models/net.keras"))
IDENTITIES = st.builds(Identity, st.text(), st.sampled_from(["N101", "D203"]), st.text())

conv, norm, run = (Identity("net", code, layer) for code, layer in (("N101", "conv"), ("N102", "norm"), ("T501", "")))


@given(st.lists(IDENTITIES))
def test_a_baseline_is_read_as_it_was_written(tmp_path_factory, found):
    file = tmp_path_factory.mktemp("baseline") / "known.json"
    file.write_text(baseline_of(found).to_json(), "utf-8")
    read = read_baseline(file)
    assert read.counts == baseline_of(found).counts
    is_new, rest = new_ones(read, found)
    assert not any(is_new)
    assert not rest.counts


def test_a_file_has_a_line_per_finding_in_order():
    text = baseline_of([norm, conv, conv, run]).to_json()
    assert json.loads(text)["schema"] == SCHEMA
    lines = [line.strip().rstrip(",") for line in text.splitlines() if '"model"' in line]
    assert [json.loads(line) for line in lines] == [
        {"model": "net", "code": "N101", "layer": "conv", "count": 2},
        {"model": "net", "code": "N102", "layer": "norm", "count": 1},
        {"model": "net", "code": "T501", "layer": "", "count": 1},
    ]


def test_a_second_finding_of_the_same_rule_at_the_same_layer_is_new():
    assert new_ones(baseline_of([conv]), [conv, conv])[0] == (False, True)
    assert new_ones(baseline_of([]), [conv]) == ((True,), baseline_of([]))


def test_what_is_gone_is_said_only_of_models_and_rules_that_were_looked_at():
    _, rest = new_ones(baseline_of([conv, norm, run, Identity("other", "N101", "conv")]), [conv])
    assert no_longer_found(rest, "net", codes=["N101", "N102", "T501"], ignored=[]) == (norm, run)
    assert no_longer_found(rest, "net", codes=["N101", "N102"], ignored=[]) == (norm,)
    assert no_longer_found(rest, "net", codes=["N101", "N102"], ignored=[norm]) == ()
    assert no_longer_found(rest, "third", codes=["N101"], ignored=[]) == ()


@pytest.mark.parametrize(
    "text",
    ["", "[]", "{}", '{"schema": "other/1", "findings": []}', f'{{"schema": "{SCHEMA}", "findings": [{{"code": 1}}]}}'],
)
def test_another_file_is_refused(tmp_path, text):
    file = tmp_path / "known.json"
    file.write_text(text)
    with pytest.raises(ValueError, match=r"must be a baseline of the form .* Received: "):
        read_baseline(file)


def test_a_missing_file_names_the_option_that_writes_it(tmp_path):
    with pytest.raises(FileNotFoundError, match="write it with --write-baseline"):
        read_baseline(tmp_path / "absent.json")


def model_of(*stack, name=None):
    return keras.Sequential([keras.Input((9, 9, 1)), *stack], name=name)


def names(model, source=FILE):
    graph = read_graph(model)
    known = names_in(graph, source)
    return known.model, [known.path(node.path) for node in graph.leaves() if not node.is_input]


def test_names_that_keras_gives_are_counted_anew():
    def fresh():
        return model_of(layers.Conv2D(2, 3), layers.BatchNormalization(), layers.Conv2D(2, 3), layers.ReLU())

    first, second = fresh(), fresh()
    assert first.layers[0].name != second.layers[0].name
    assert names(first) == names(second) == ("net", ["conv2d", "batch_normalization", "conv2d_1", "re_lu"])


def test_names_of_layers_that_a_user_gave_stay():
    stack = [
        layers.Conv2D(2, 3, name="block_3"),
        layers.Conv2D(2, 3, name="stage_2_conv"),
        layers.Dense(2, name="dense2"),
    ]
    assert names(model_of(*stack, name="cnn_2")) == ("cnn_2", ["block_3", "stage_2_conv", "dense2"])


def test_nested_and_shared_layers_keep_their_paths():
    keras.layers.Dense(1)  # so that the next one is dense_1
    shared = layers.Dense(9)
    inner = keras.Sequential([keras.Input((9,)), shared], name="inner")
    inputs = keras.Input((9,))
    model = keras.Model(inputs, inner(shared(inputs)), name="outer")
    _, paths = names(model)
    assert len(set(paths)) == len(paths)
    assert all("dense" in path for path in paths)
    assert not any("dense_1" in path for path in paths)


@pytest.mark.parametrize(
    ("source", "stem"),
    [
        (FILE, "net"),
        (Source("a.b:small", Path("a/b.py")), "small"),
        (Source("net.v2.keras", Path("net.v2.keras")), "net.v2"),
    ],
)
def test_a_model_that_nobody_named_goes_by_its_file_or_function(source, stem):
    for name in (None, "sequential_7", "model_2", "functional"):
        assert names(model_of(layers.Flatten(), name=name), source)[0] == stem
    assert names(model_of(layers.Flatten(), name="cnn"), source)[0] == "cnn"


def test_a_subclass_that_nobody_named_goes_by_its_file():
    class MyNet(keras.Model):
        def __init__(self):
            super().__init__()
            self.head = layers.Dense(2)

        def call(self, x):
            return self.head(x)

    model = MyNet()
    model(keras.ops.ones((1, 3)))
    assert names(model)[0] == "net"


def test_fingerprints_are_short_and_one_per_finding():
    found = [conv, conv, norm, run]
    first = list(fingerprints(found))
    assert first == list(fingerprints(found))
    assert len(set(first)) == 4
    assert all(len(one) == 32 and int(one, 16) for one in first)
