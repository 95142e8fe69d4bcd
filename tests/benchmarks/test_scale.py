import json
import subprocess
import sys

import keras
import numpy as np
import pytest
from keras import layers

from benchmarks import scale


def test_slope():
    assert scale.slope([1, 10, 100], [2, 20, 200]) == pytest.approx(1)
    assert scale.slope([1, 10, 100], [1, 100, 10_000]) == pytest.approx(2)


def test_transformers_have_about_as_many_parameters_as_asked_for():
    for wanted in (1e6, 1e8, 1e10):
        assert 0.7 * wanted < scale.transformer(wanted).count_params() < 1.6 * wanted


def test_a_file_without_values_is_a_model_of_zeros(tmp_path):
    model = keras.Sequential([keras.Input((4,)), layers.Dense(3), layers.BatchNormalization()])
    scale.write_without_values(model, tmp_path / "m.keras")
    loaded = keras.saving.load_model(tmp_path / "m.keras")
    assert [tuple(v.shape) for v in loaded.variables] == [tuple(v.shape) for v in model.variables]
    assert not any(np.any(weight) for weight in loaded.get_weights())


def test_goals():
    grown = [{"advise_slope": 1.0, "apply_slope": 1.2}]
    quick = {"parameters": 7e9, "advise_s": 4.0, "advise_peak_mib": 700.0, "largest_variable_mib": 300.0}
    judged = scale.goals(grown, {"rows": [{**quick, "fix_peak_mib": 2200.0}]})
    assert (judged["slope_met"], judged["advise_7e9_met"], judged["fix_met"]) == (False, True, True)
    judged = scale.goals([], {"rows": [{**quick, "advise_s": 11.0, "fix_peak_mib": 2300.0}]})
    assert (judged["slope_met"], judged["advise_7e9_met"], judged["fix_met"]) == (True, False, False)


@pytest.mark.slow
def test_seven_billion_parameters_are_advised_on_without_their_weights(tmp_path):
    scale.write_without_values(scale.transformer(7e9), tmp_path / "m.keras")
    command = [sys.executable, "-m", "benchmarks.scale", "--one", str(tmp_path / "m.keras")]
    figures = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()[-1])
    assert figures["advise_peak_mib"] < scale.ADVISE_MIB_GOAL
    assert figures["advise_processor_s"] < scale.SECONDS_GOAL
