"""`advice.plot`: the drawing as a file, with the arguments of `keras.utils.plot_model`."""

import inspect
import re

import keras
import pytest

from advisor.advice import Advice


def text_of(path):
    return "\n".join(re.findall(r"<text[^>]*>([^<]*)</text>", path.read_text("utf-8")))


@pytest.mark.parametrize(("suffix", "start"), [(".svg", b"<?xml"), (".png", b"\x89PNG"), (".pdf", b"%PDF")])
def test_the_name_says_the_format_and_the_same_advice_is_the_same_file(
    siamese_advice, siamese_rewrite, tmp_path, suffix, start
):
    files = [tmp_path / f"{number}{suffix}" for number in range(2)]
    for file in files:
        siamese_advice.plot(file, rewrite=siamese_rewrite, dpi=72)
    assert files[0].read_bytes().startswith(start)
    assert files[0].read_bytes() == files[1].read_bytes()


def test_what_is_drawn_and_what_is_told(siamese_advice, siamese_rewrite, tmp_path):
    def drawn(**arguments):
        siamese_advice.plot(tmp_path / "a.svg", rewrite=siamese_rewrite, **arguments)
        return text_of(tmp_path / "a.svg")

    both = drawn()
    assert {"before", "after", "removed", "drop", "encoder"} <= set(both.splitlines())
    assert "conv0" not in both
    assert "conv0" in drawn(expand_nested=True)
    assert "removed" in drawn(what="before")
    assert "removed" not in drawn(what="after")
    assert "→" not in both
    assert "(None, 8, 8, 3) → (None, 8)" in drawn(show_shapes=True, expand_nested=True) + drawn(show_shapes=True)
    assert "dtype: float32" in drawn(show_dtype=True)
    assert "activation: sigmoid" in drawn(show_layer_activations=True)
    assert "\ntrainable" in drawn(show_trainable=True)
    nameless = drawn(show_layer_names=False, what="before")
    assert "difference" not in nameless
    assert "Subtract" in nameless


@pytest.mark.parametrize("direction", ["TB", "BT", "LR", "RL"])
def test_directions(siamese_advice, tmp_path, direction):
    siamese_advice.plot(tmp_path / "a.svg", what="before", rankdir=direction)
    svg = (tmp_path / "a.svg").read_text("utf-8")
    first, last = (
        tuple(map(float, re.search(rf"<text [^>]*translate\(([\d.]+) ([\d.]+)\)[^>]*>{name}<", svg).groups()))
        if re.search(rf"<text [^>]*translate\(([\d.]+) ([\d.]+)\)[^>]*>{name}<", svg)
        else tuple(map(float, re.search(rf'<text [^>]*\bx="([\d.]+)" y="([\d.]+)"[^>]*>{name}<', svg).groups()))
        for name in ("left", "same")
    )
    axis, sign = {"TB": (1, 1), "BT": (1, -1), "LR": (0, 1), "RL": (0, -1)}[direction]
    assert sign * (last[axis] - first[axis]) > 200


@pytest.mark.parametrize(
    "arguments",
    [
        {"to_file": "a.gif"},
        {"to_file": "none/a.svg"},
        {"what": "left"},
        {"rankdir": "up"},
        {"dpi": 0},
    ],
)
def test_what_cannot_be_is_refused_before_anything_is_drawn(siamese_advice, tmp_path, arguments):
    given = {"to_file": "a.svg", **arguments}
    given["to_file"] = tmp_path / given["to_file"]
    with pytest.raises((ValueError, OSError), match="Received: "):
        siamese_advice.plot(**given)
    assert list(tmp_path.iterdir()) == []


def test_arguments_are_those_of_keras_in_its_order():
    own = [name for name, p in inspect.signature(Advice.plot).parameters.items() if p.kind is p.POSITIONAL_OR_KEYWORD]
    of_keras = list(inspect.signature(keras.utils.plot_model).parameters)
    assert own[1:] == [name for name in of_keras if name in own]
