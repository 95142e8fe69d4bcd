from benchmarks.claims import c07_batch_norm_beats_layer_norm as c07
from benchmarks.claims.claim import Verdict


def figures(sample, channels):
    """Points that BN is ahead of each form of LN, on both sets."""
    layer_norms = {"LN of the sample": sample, "LN of the channels": channels}
    accuracy = {"BN": [80.0, 81.0, 80.0]} | {
        arm: [80.0 - ahead, 81.1 - ahead, 80.0 - ahead] for arm, ahead in layer_norms.items()
    }
    return {name: {"rates": {}, "accuracy": accuracy} for name in c07.SETS}


def test_the_verdict_follows_the_advantages():
    assert c07.judge(figures(5, 5)).verdict is Verdict.HOLDS
    assert c07.judge(figures(-5, -5)).verdict is Verdict.FAILS
    assert c07.judge(figures(0, 0)).verdict is Verdict.UNDECIDED


def test_the_condition_names_the_form_that_loses():
    assert str(c07.judge(figures(5, -5))) == (
        "holds when it is against LN of the sample on Fashion-MNIST and LN of the sample on CIFAR-10"
    )
