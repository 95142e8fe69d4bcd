import numpy as np

from benchmarks.claims import c20_early_stopping as c20
from benchmarks.claims.claim import Verdict


def figures(loss, accuracy):
    """What training to the end adds to either."""

    def tested(worse, seed):
        return {
            "loss": 0.5 + worse * loss + 0.01 * seed * worse,
            "accuracy": 80 + worse * accuracy - 0.1 * seed * worse,
        }

    return {
        name: [
            {
                c20.STOPPED: tested(0, seed),
                c20.TO_THE_END: tested(1, seed),
                c20.WITH_VALIDATION: tested(0, seed),
                "best epoch": 3,
                "validation loss": [1.0, 0.8, 0.5, 0.7],
            }
            for seed in range(3)
        ]
        for name in c20.SETS
    }


def test_the_verdict_follows_loss_and_accuracy():
    assert c20.judge(figures(loss=0.5, accuracy=-3)).verdict is Verdict.HOLDS
    assert c20.judge(figures(loss=-0.3, accuracy=3)).verdict is Verdict.FAILS
    only_loss = c20.judge(figures(loss=0.5, accuracy=3))
    assert str(only_loss) == "holds when what counts is loss on Fashion-MNIST, loss on IMDB and loss on breast cancer"


def test_the_best_weights_are_those_of_the_epoch_with_the_lowest_loss():
    best, model = c20.BestWeights(), c20.perceptron()
    best.set_model(model)
    model.build((None, 30))
    for epoch, loss in enumerate((0.9, 0.4, 0.6)):
        model.layers[-1].bias.assign([float(epoch)] * 2)
        best.on_epoch_end(epoch, {"val_loss": loss})
    assert best.epoch == 2
    assert np.allclose(best.weights[-1], 1.0)
