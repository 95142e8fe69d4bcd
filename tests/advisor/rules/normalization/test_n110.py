import pytest
from keras import layers

from advisor import advise
from tests.advisor import architectures


def _with_batch_norm(build, wrap):
    return build(2, lambda x, function: wrap(x, function, layers.BatchNormalization))


@pytest.mark.parametrize("wrap", [architectures.pre_norm, architectures.post_norm])
@pytest.mark.parametrize("build", [architectures.bert, architectures.gpt, architectures.vit])
def test_every_batch_norm_of_a_transformer_is_found_and_replaced_once(build, wrap):
    model = _with_batch_norm(build, wrap)
    # At this batch size the statistics are noisy, too, but what to do about it is the same.
    advice = advise(model, select="N", batch_size=2, trained=False, verbose=0)
    assert [finding.code for finding in advice.findings] == ["N110"] * 4
    fixed = advice.apply()
    assert not any(isinstance(layer, layers.BatchNormalization) for layer in fixed.layers)
    assert not advise(fixed, select="N", batch_size=2, trained=False, verbose=0).findings


def test_a_normalization_shared_by_two_blocks_is_one_finding():
    norm = layers.BatchNormalization()
    model = architectures.gpt(2, lambda x, function: x + function(norm(x)))
    assert len(advise(model, select="N110", trained=False, verbose=0).findings) == 1
