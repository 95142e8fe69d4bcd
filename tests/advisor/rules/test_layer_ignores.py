"""Rules that are ignored at some layers: what is left out, what is kept but not mended."""

import keras
import pytest
from keras import layers

from advisor import advise
from advisor.rules import layer_ignores


def two_convolutions():
    stack = [part for name in ("first", "second") for part in _block(name)]
    return keras.Sequential([keras.Input((8, 8, 1)), *stack, layers.GlobalAveragePooling2D(), layers.Dense(2)])


def _block(name):
    return layers.Conv2D(4, 3, name=f"{name}_conv"), layers.BatchNormalization(name=f"{name}_norm"), layers.ReLU()


def plain_stack():
    stack = [layers.Conv2D(4, 3, padding="same", activation="relu", name=f"conv{index}") for index in range(4)]
    return keras.Sequential([keras.Input((8, 8, 1)), *stack, layers.GlobalAveragePooling2D(), layers.Dense(2)])


def places(findings):
    return [(finding.code, finding.layer) for finding in findings]


def test_a_rule_is_silent_at_the_layers_of_a_pattern():
    advice = advise(two_convolutions(), select="N101", per_layer_ignores={"first*": "N101"})
    assert places(advice.findings) == [("N101", "second_conv")]
    assert places(advice.ignored) == [("N101", "first_conv")]
    mended = advice.apply()
    assert mended.get_layer("first_conv").use_bias
    assert not mended.get_layer("second_conv").use_bias
    assert "1 more finding ignored at their layers." in " ".join(str(advice).split())
    assert advice.to_dict()["summary"]["ignored"] == 1


def test_other_rules_still_speak_there():
    advice = advise(two_convolutions(), batch_size=2, select="N101,N102", per_layer_ignores={"first*": ["N101"]})
    assert ("N102", "first_norm") in places(advice.findings)


def test_a_fix_that_reaches_an_ignored_layer_is_refused():
    (finding,) = advise(plain_stack(), select="N105").findings
    assert finding.fix is not None
    advice = advise(plain_stack(), select="N105", per_layer_ignores={"conv2": "N"})
    (kept,) = advice.findings
    assert kept.fix is None
    assert "N105 is ignored at `conv2`" in kept.refusal
    assert not advice.ignored
    rewrite = advice.rewrite()
    assert not rewrite.applied
    assert [skipped.reason for skipped in rewrite.skipped] == [kept.refusal]


@pytest.mark.parametrize(
    ("patterns", "error", "message"),
    [
        ({"*": "N999"}, ValueError, "there is no rule 'N999'"),
        ({"": "N101"}, ValueError, "must name a layer"),
        (["N101"], TypeError, "must map patterns of layer paths to codes"),
        ({1: "N101"}, TypeError, "must map patterns of layer paths to codes"),
        ({"*": [101]}, TypeError, "codes must be"),
    ],
)
def test_wrong_patterns_are_clear_errors(patterns, error, message):
    with pytest.raises(error, match=message):
        layer_ignores(patterns)
