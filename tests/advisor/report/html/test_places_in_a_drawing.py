"""Boxes do not overlap, lines begin and end at boxes, and both models share their rows."""

import itertools

import keras
import pytest
from keras import layers

from advisor.graph import read_graph
from advisor.report.html.comparison import draw_model
from advisor.report.html.drawing_text import Shown
from advisor.report.html.layout import scenes_of_group, scenes_of_run
from advisor.report.html.model_drawing import Side
from advisor.report.html.page import draw_both
from advisor.report.html.pieces import Run, pieces_of
from tests.advisor.report.html.conftest import residual


def scene_of(model, *, sideways=False):
    drawing = draw_model(read_graph(model))
    return scenes_of_group(
        drawing.root, drawing.sides, Shown(), expand_nested=True, expand_blocks=True, sideways=sideways
    )[Side.BEFORE]


def branches(number):
    x = keras.Input((4,))
    return keras.Model(x, layers.Add()([layers.Dense(2, name=f"branch_{n}")(x) for n in range(number)]))


def overlaps(one, other):
    apart_x = abs(one.x - other.x) >= (one.width + other.width) / 2
    apart_y = abs(one.y - other.y) >= (one.height + other.height) / 2
    return not (apart_x or apart_y)


@pytest.mark.parametrize("sideways", [False, True], ids=["down", "sideways"])
@pytest.mark.parametrize("build", [lambda: residual(3), lambda: branches(5)], ids=["residual", "branches"])
def test_no_box_covers_another_or_leaves_the_drawing(build, sideways):
    scene = scene_of(build(), sideways=sideways)
    assert not [pair for pair in itertools.combinations(scene.boxes, 2) if overlaps(*pair)]
    for box in scene.boxes:
        assert box.width / 2 <= box.x <= scene.width - box.width / 2
        assert box.height / 2 <= box.y <= scene.height - box.height / 2


def test_every_line_begins_below_a_box_and_ends_above_one():
    scene = scene_of(residual(3))
    bottoms = {(round(box.x, 3), round(box.y + box.height / 2, 3)) for box in scene.boxes}
    tops = {(round(box.x, 3), round(box.y - box.height / 2, 3)) for box in scene.boxes}
    assert scene.routes
    for route in scene.routes:
        (x0, y0), (x1, y1) = route.points[0], route.points[-1]
        assert (round(x0, 3), round(y0, 3)) in bottoms
        assert (round(x1, 3), round(y1, 3)) in tops


def test_no_line_runs_through_a_box():
    scene = scene_of(residual(3))
    for route in scene.routes:
        for (x, y0), (x1, y1) in itertools.pairwise(route.points):
            if x == x1:
                assert not [
                    box.key for box in scene.boxes
                    if abs(box.x - x) < box.width / 2 and y0 < box.y < y1
                ]  # fmt: skip


def test_what_was_kept_stands_at_one_height_on_both_sides(siamese_advice, siamese_rewrite):
    drawing = draw_both(siamese_advice.examination.facts.graph, siamese_rewrite, siamese_advice.examination)
    runs = [piece for piece in pieces_of(drawing.root, lambda group: False) if isinstance(piece, Run)]
    shared = 0
    for run in runs:
        before, after = scenes_of_run(run, tuple(Side), Shown()).values()
        assert (before.width, before.height) == (after.width, after.height)
        heights = {box.key: (box.y, box.height) for box in before.boxes}
        for box in after.boxes:
            if box.key in heights:
                assert heights[box.key] == (box.y, box.height)
                shared += 1
    assert shared > 5


def test_a_chain_is_straight_though_something_was_removed_from_it():
    def chain(*names):
        return keras.Sequential([keras.Input((4,)), *(layers.Dense(4, name=name) for name in names)])

    drawing = draw_model(read_graph(chain("a", "b", "c")), read_graph(chain("a", "c")))
    scenes = scenes_of_group(drawing.root, drawing.sides, Shown(), expand_nested=True, expand_blocks=True)
    for scene in scenes.values():
        assert len({round(box.x, 3) for box in scene.boxes}) == 1
