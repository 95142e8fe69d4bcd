import keras
import pytest

from advisor import advise
from tests.advisor import architectures

schedules = keras.optimizers.schedules


def _findings(model, rate=1e-3):
    model.compile(keras.optimizers.AdamW(rate), "sparse_categorical_crossentropy")
    return advise(model, select="N109", trained=False, verbose=0).findings


@pytest.mark.parametrize("build", [architectures.bert, architectures.gpt, architectures.vit])
def test_deep_and_normalized_behind(build):
    (finding,) = _findings(build(6, architectures.post_norm))
    assert len(finding.layers) == 6
    assert finding.fix is None
    assert "warmup_target=0.001" in finding.why
    assert not _findings(build(5, architectures.post_norm))
    assert not _findings(build(6, architectures.pre_norm))


def test_warm_up_and_small_rates_are_fine():
    model = architectures.bert(6)
    rising = schedules.CosineDecay(0.0, 9000, warmup_target=1e-3, warmup_steps=1000)
    assert not _findings(model, rising)
    assert not _findings(model, 5e-5)
    assert _findings(model, schedules.PolynomialDecay(1e-3, 9000))


def test_frozen_blocks_do_not_count():
    model = architectures.bert(6)
    next(layer for layer in model.layers if layer.name.startswith("layer_normalization")).trainable = False
    assert _findings(model)  # that of the embeddings
    for layer in model.layers:
        layer.trainable = False
    assert not _findings(model)


def test_a_model_without_an_optimizer_is_not_judged():
    advice = advise(architectures.bert(6), select="N109", verbose=0)
    assert [entry.code for entry in advice.not_run] == ["N109"]
