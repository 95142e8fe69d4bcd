"""What a model and its rewrite have in common, and what became of the rest."""

import keras
import pytest
from keras import layers

from advisor import advise
from advisor.graph import Remove, read_graph
from advisor.report.html.comparison import draw_model
from advisor.report.html.model_drawing import INPUT, OUTPUT, Group, Side, Status
from advisor.report.html.page import draw_both


def chain(*stack):
    return keras.Sequential([keras.Input((8,)), *stack], name="chain")


def dense(name, **arguments):
    return layers.Dense(8, name=name, **arguments)


def statuses(drawing):
    return {box.key: str(box.status) for box in drawing.root.boxes() if not box.is_input}


def compared(before, after, edits=()):
    return draw_model(read_graph(before), read_graph(after), edits=edits)


def test_layers_are_kept_changed_new_and_removed():
    before = chain(dense("a"), layers.Dropout(0.5, name="drop"), dense("b"), dense("c"))
    after = chain(dense("a"), dense("b", use_bias=False), layers.ReLU(name="relu"), dense("c"))
    drawing = compared(before, after)
    assert statuses(drawing) == {"a": "kept", "b": "changed", "c": "kept", "drop": "removed", "relu": "new"}
    assert drawing.root.counts() == {Status.KEPT: 2, Status.CHANGED: 1, Status.NEW: 1, Status.REMOVED: 1}
    assert (drawing.root.layers(Side.BEFORE), drawing.root.layers(Side.AFTER)) == (4, 4)


def test_another_class_of_the_same_name_is_changed():
    drawing = compared(chain(layers.BatchNormalization(name="n")), chain(layers.LayerNormalization(name="n")))
    assert statuses(drawing) == {"n": "changed"}
    (box,) = (box for box in drawing.root.boxes() if not box.is_input)
    assert [box.faces[side].kind for side in Side] == ["BatchNormalization", "LayerNormalization"]


@pytest.mark.parametrize("edits", [(Remove("drop"),), ()], ids=["told by the edit", "seen from the order"])
def test_a_layer_that_moved_is_shown_at_both_places(edits):
    before = chain(layers.Dropout(0.5, name="drop"), dense("a"), dense("b"))
    after = chain(dense("a"), dense("b"), layers.Dropout(0.5, name="drop"))
    drawing = compared(before, after, edits)
    found = statuses(drawing)
    assert found["drop (before)"] == "removed"
    assert found["drop (after)"] == "new"
    notes = {box.key: box.note for box in drawing.root.boxes()}
    assert (notes["drop (before)"], notes["drop (after)"]) == ("moved away", "moved here")
    if edits:
        assert found["a"] == found["b"] == "kept"


def test_every_edge_points_forward_and_is_that_of_the_models(siamese_advice, siamese_rewrite):
    graph = siamese_advice.examination.facts.graph
    drawing = draw_both(graph, siamese_rewrite, siamese_advice.examination)
    place = {item.key: number for number, item in enumerate(drawing.root.items)}
    assert all(place[edge.source] < place[edge.target] for edge in drawing.root.edges)
    for side, read in ((Side.BEFORE, graph), (Side.AFTER, read_graph(siamese_rewrite.structure))):
        drawn = {(e.source.split(" (")[0], e.target.split(" (")[0]) for e in drawing.root.edges if side in e.sides}
        there = {(source.path, node.path) for node in read.nodes.values() if not node.scope for source in node.sources}
        assert drawn == there


def test_a_nested_model_is_a_group_and_its_second_call_a_box(siamese_advice):
    drawing = draw_both(siamese_advice.examination.facts.graph, None, siamese_advice.examination)
    items = {item.key: item for item in drawing.root.items}
    encoder = items["encoder"]
    assert isinstance(encoder, Group)
    assert [box.name for box in encoder.boxes()] == ["conv0", "bn0", "relu0", "conv1", "bn1", "relu1", "pool"]
    ends = {(edge.source, edge.target) for edge in encoder.edges if {INPUT, OUTPUT} & {edge.source, edge.target}}
    assert ends == {(INPUT, "encoder/conv0"), ("encoder/pool", OUTPUT)}
    assert items["encoder#2"].note == "shared"


def test_findings_stand_at_their_layers(siamese_advice):
    drawing = draw_both(siamese_advice.examination.facts.graph, None, siamese_advice.examination)
    for number, finding in enumerate(siamese_advice.findings):
        boxes = {box.path for box in drawing.root.boxes() if (number, finding.code) in box.findings}
        assert boxes == set(finding.layers)


@keras.saving.register_keras_serializable("tests")
class Undecided(keras.Model):
    """A model whose code depends on values, so that its calls cannot be read."""

    def __init__(self):
        super().__init__(name="undecided")
        self.first, self.second = layers.Dense(4, name="first"), layers.Dense(4, name="second")

    def call(self, x):
        return self.second(self.first(x)) if float(keras.ops.sum(x)) > 0 else self.first(x)


def test_an_opaque_model_is_listed_and_said_to_be():
    import numpy as np

    model = Undecided()
    model(np.ones((1, 4), "float32"))
    drawing = draw_both(read_graph(model), None, advise(model).examination)
    assert [box.name for box in drawing.root.boxes()] == ["first", "second"]
    assert [edge.known for edge in drawing.root.edges] == [False]
    assert drawing.remarks == ("The order of calls inside `undecided` is not known: its layers are listed.",)
