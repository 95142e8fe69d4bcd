"""What becomes of fixes when a model cannot be copied, run or verified: a reason and the work by hand, not silence."""

import keras
import numpy as np
import pytest
from keras import layers

from advisor import advise
from advisor.graph import read_graph
from advisor.rewrite import rewriting


class Uncopyable(layers.Layer):
    def __init__(self, table):
        super().__init__(name="uncopyable")
        self.table = table

    def call(self, x):
        return x


class Picky(layers.Layer):
    """Refuses all values but those of its own data."""

    def call(self, x):
        if float(keras.ops.min(x)) < 10:
            raise ValueError("values below 10 are not for me")
        return x

    def compute_output_spec(self, x):
        return keras.KerasTensor(x.shape, x.dtype)


def overbiased(*extra):
    stack = [layers.Dense(4, name="hidden"), layers.BatchNormalization(name="norm"), layers.ReLU(), layers.Dense(1)]
    return keras.Sequential([keras.Input((4,)), *extra, *stack])


def test_a_model_that_cannot_be_copied_names_the_layer_and_the_work_by_hand(monkeypatch):
    model = overbiased(Uncopyable({1: object()}))
    advice = advise(model, batch_size=8, epochs=3, steps_per_epoch=10)
    attempts = []
    rebuild = rewriting.rebuild
    monkeypatch.setattr(rewriting, "rebuild", lambda *arguments: attempts.append(1) or rebuild(*arguments))
    with pytest.warns(UserWarning, match="`uncopyable`"):
        rewrite = advice.rewrite()
    assert rewrite.model is model
    reasons = {skipped.finding.code: skipped.reason for skipped in rewrite.skipped}
    assert set(reasons) == {finding.code for finding in advice.findings if finding.fix} >= {"N101", "N112"}
    assert all("`uncopyable` (Uncopyable) cannot be copied" in reason for reason in reasons.values())
    assert "By hand: make `hidden` with use_bias=False" in reasons["N101"]
    assert {origin.origin for origin in rewrite.weight_map.values()} == {"kept"}
    assert len(rewrite.weight_map) == len(model.variables)
    assert len(attempts) <= len(reasons) + 1


def test_what_cannot_be_verified_is_not_applied_but_the_rest_is():
    advice = advise(overbiased(Picky()), batch_size=8, epochs=3, steps_per_epoch=10)
    rewrite = advice.rewrite()
    assert {applied.finding.code for applied in rewrite.applied} == {"N112"}
    (skipped,) = rewrite.skipped
    assert skipped.finding.code == "N101"
    assert "values below 10 are not for me" in skipped.reason
    assert "verify=False" in skipped.reason
    assert {applied.finding.code for applied in advice.rewrite(verify=False).applied} == {"N101", "N112"}


def test_data_is_what_a_picky_model_is_verified_on():
    x = np.random.default_rng(0).uniform(20, 30, (64, 4)).astype("float32")
    advice = advise(overbiased(Picky()), batch_size=2, data=(x, x[:, 0]), select="N101")
    assert [applied.finding.code for applied in advice.rewrite().applied] == ["N101"]


def test_the_diff_names_layers_that_do_not_tell_their_arguments():
    with pytest.warns(UserWarning, match="`uncopyable`"):
        rewrite = advise(overbiased(Uncopyable({1: object()}))).rewrite()
    assert rewrite.diff == ""
    assert "uncopyable: Uncopyable(…)" in rewriting.layer_lines(read_graph(rewrite.model))
