"""Laws 1 to 8 on random models: whatever the model, advice keeps them."""

import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from advisor import advise
from advisor.rules import Finding, Requirement, Rule, Severity, registry
from advisor.testing import LawBrokenError, check_laws, randomize_weights
from tests.advisor.random_code import code_models
from tests.advisor.random_models import (
    functional_models,
    sequence_models,
    sequential_models,
    structured_models,
    volume_models,
)

RUNS = st.fixed_dictionaries(
    {
        "batch_size": st.sampled_from([None, 1, 4, 64]),
        "steps_per_epoch": st.sampled_from([None, 10]),
        "epochs": st.sampled_from([None, 3]),
        "target": st.sampled_from([None, "mobile"]),
    }
)


@settings(max_examples=15)
@given(build=sequential_models(), run=RUNS)
def test_laws_hold_on_random_sequential_models(build, run):
    check_laws(randomize_weights(build()), trained=False, **run)


@settings(max_examples=15)
@given(build=functional_models(), run=RUNS)
def test_laws_hold_on_random_functional_models(build, run):
    check_laws(randomize_weights(build()), trained=False, **run)


@settings(max_examples=10)
@given(build=sequence_models(), run=RUNS)
def test_laws_hold_on_random_sequence_models(build, run):
    check_laws(randomize_weights(build()), trained=False, **run)


@settings(max_examples=6)
@given(build=st.one_of(structured_models(), volume_models()), run=RUNS)
def test_laws_hold_on_random_structures_and_ranks(build, run):
    check_laws(randomize_weights(build()), trained=False, **run)


@settings(max_examples=6)
@given(build=code_models(), run=RUNS)
def test_laws_hold_on_random_models_that_are_code(build, run):
    check_laws(randomize_weights(build()), trained=False, **run)


@pytest.mark.slow
@settings(max_examples=max(150, settings().max_examples))
@given(
    build=st.one_of(
        sequential_models(),
        functional_models(),
        sequence_models(),
        structured_models(),
        volume_models(),
        code_models(),
    ),
    run=RUNS,
    safety=st.sampled_from([None, "exact"]),
)
def test_laws_hold_on_many_random_models(build, run, safety):
    check_laws(randomize_weights(build()), trained=False, safety=safety, **run)


def test_a_trained_model_gets_exact_fixes_only():
    model = randomize_weights(_overbiased())
    rewrite = check_laws(model, batch_size=2)
    assert {applied.finding.fix.safety for applied in rewrite.applied} == {"exact"}
    assert any("looks trained" in skipped.reason for skipped in rewrite.skipped)


def test_a_crashing_rule_is_reported_and_sinks_nothing(monkeypatch):
    class Crash(Rule):
        code, name, severity = "N999", "crash", Severity.ERROR
        requires = frozenset({Requirement.GRAPH})

        def check(self, facts):
            raise RuntimeError("broken on purpose")

    registry.all_rules()
    monkeypatch.setitem(registry._rules, "N999", Crash())
    advice = advise(_overbiased())
    assert [(failure.code, failure.error) for failure in advice.failures] == [
        ("N999", "RuntimeError: broken on purpose")
    ]
    assert any(finding.code == "N101" for finding in advice.findings)


def test_a_layer_never_seen_before_sinks_nothing():
    class Odd(keras.layers.Layer):
        def call(self, x):
            return x * 2

    inputs = keras.Input((4,))
    model = keras.Model(inputs, keras.layers.Dense(2)(Odd()(inputs)))
    advice = advise(model)
    assert not advice.failures
    x = np.ones((1, 4), "float32")
    np.testing.assert_array_equal(advice.apply()(x), model(x))


def test_an_inexact_fix_that_claims_to_be_exact_is_rolled_back(monkeypatch):
    from advisor.graph import Remove
    from advisor.rules import Fix

    class Liar(Rule):
        code, name, severity = "N998", "liar", Severity.ERROR

        def check(self, facts):
            fix = Fix("remove the activation", (Remove("bend"),), "exact")
            if "bend" in facts.layers:
                yield Finding(self.code, self.name, self.severity, ("bend",), "m", "w", fix=fix)

    registry.all_rules()
    monkeypatch.setitem(registry._rules, "N998", Liar())
    model = _overbiased()
    rewrite = advise(model).rewrite("exact")
    assert [applied.finding.code for applied in rewrite.applied] == ["N101"]
    assert [skipped.finding.code for skipped in rewrite.skipped if "rolled back" in skipped.reason] == ["N998"]
    assert rewrite.model.get_layer("bend") is not None


def test_the_laws_notice_a_changed_model():
    """The checks themselves can fail: a rewrite that touches the original is caught."""
    model = _overbiased()

    class Vandal(keras.layers.Layer):
        def call(self, x):
            return x

        def get_config(self):
            # Reading the configuration freezes a layer of the model, as careless code might.
            model.layers[0].trainable = False
            return super().get_config()

    model.add(Vandal())
    with pytest.raises(LawBrokenError, match="law 1"):
        check_laws(model)


def _overbiased():
    return keras.Sequential(
        [
            keras.Input((6, 6, 2)),
            keras.layers.Conv2D(4, 3, name="conv"),
            keras.layers.BatchNormalization(name="norm"),
            keras.layers.Activation("relu", name="bend"),
            keras.layers.GlobalAveragePooling2D(),
            keras.layers.Dense(3),
        ]
    )
