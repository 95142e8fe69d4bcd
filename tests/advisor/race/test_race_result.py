"""What is said of outcomes: ranks, verdicts, the sentence."""

import json
import math

import numpy as np
import pytest

from advisor.race.candidate import Candidate
from advisor.race.result import LeftOut, RaceResult, standings_of, winner_of
from advisor.race.schedule import Budget, walk
from advisor.race.trial import Outcome, Trial
from advisor.race.wording import notes_on_figures

NAMES = {"original": "the original", "group": "GroupNormalization", "drop": "dropout", "decay": "weight decay"}
EPOCHS = 6


def outcome(scores, epochs=EPOCHS, failure=None):
    scores = None if scores is None else np.asarray(scores, dtype="float64")
    return Outcome(scores, -math.inf if scores is None else float(scores.mean()), epochs, 2.0, failure=failure)


def share(right, samples=1000, seed=0):
    """Scores of which a share is right; which samples those are differs little between shares, as with models."""
    hard = np.random.default_rng(5).random(samples) + np.random.default_rng(seed).normal(0, 0.02, samples)
    return (hard < right).astype("float64")


def result_of(outcomes, seeds=3, right=True, samples=1000, **settings):
    candidates = [Candidate(name, title, None, None) for name, title in NAMES.items()]
    standings = standings_of(candidates, outcomes, epochs=EPOCHS, seeds=seeds, counts_right_answers=right)
    winner = winner_of(standings)
    given = {
        "left_out": (),
        "metric": "accuracy" if right else "loss",
        "counts_right_answers": right,
        "samples": samples,
        "seeds": seeds,
        "epochs": EPOCHS,
        "budget": "5m",
        "seconds": 312.0,
        "winner": winner.name if winner else None,
        "notes": tuple(notes_on_figures(standings, samples)),
    }
    return RaceResult(standings=standings, **{**given, **settings})


def final(**rights):
    """A final of three seeds: the share of right answers of each candidate, by seed."""
    return {
        Trial(name, seed, EPOCHS): outcome(share(right, seed=len(name) * 7 + seed))
        for name, by_seed in rights.items()
        for seed, right in enumerate(by_seed)
    }


@pytest.fixture(scope="module")
def clear():
    return result_of(
        {
            **final(original=(0.70, 0.71, 0.70), group=(0.80, 0.81, 0.80), drop=(0.70, 0.71, 0.71)),
            Trial("decay", 0, 2): outcome(share(0.5), epochs=2),
        }
    )


def test_the_best_of_the_final_wins_and_the_rest_follow(clear):
    assert [one.name for one in clear.standings] == ["group", "drop", "original", "decay"]
    assert clear.winner == "group"
    assert [one.verdict for one in clear.standings] == [
        "better",
        "no measurable difference",
        None,
        "not in the final",
    ]
    assert [one.rung for one in clear.standings] == ["final", "final", "final", "heats"]
    best = clear.standings[0]
    assert best.mean == pytest.approx(80.3, abs=2)
    assert best.difference.mean == pytest.approx(best.mean - clear.standings[2].mean)
    assert (best.epochs, best.seconds) == (18, 6.0)
    assert clear.standings[3].difference is None


def test_the_sentence_is_what_a_person_would_say(clear):
    difference = clear.standings[0].difference
    expected = f"{difference.mean:.1f} ± {difference.half_width:.1f}"
    assert clear.sentence == (
        f"GroupNormalization beats the original by {expected} points of accuracy; "
        "dropout makes no measurable difference."
    )


def test_the_table_fits_eighty_columns(clear):
    text = str(clear)
    assert max(map(len, text.splitlines())) <= 80
    assert text.startswith("GroupNormalization beats the original")
    assert "out in the heats" in text
    assert "took 5 min 12 s" in " ".join(text.split())
    assert "not the 2 of them together" in " ".join(text.split())


def test_a_difference_that_may_be_chance_is_not_claimed():
    result = result_of(final(original=(0.70, 0.75, 0.72), group=(0.73, 0.74, 0.75)))
    assert result.winner == "group"
    assert result.sentence.startswith(
        "The original is as good as any: GroupNormalization makes no measurable difference (+"
    )


def test_the_worse_are_told_too():
    result = result_of(final(original=(0.80, 0.80, 0.80), group=(0.70, 0.70, 0.70)))
    assert result.winner == "original"
    assert result.sentence.startswith("The original is the best; GroupNormalization is worse by ")


def test_a_single_seed_claims_nothing():
    result = result_of(final(original=(0.5,), group=(0.9,)))
    assert result.standings[0].verdict == "no measurable difference"
    assert result.standings[0].rung == "semifinal"
    assert "cannot be told apart from luck" in result.sentence


def test_losses_are_compared_in_percent():
    scores = {name: -np.full(100, loss) for name, loss in (("original", 2.0), ("group", 1.5), ("drop", 2.5))}
    noise = np.random.default_rng(0).normal(0, 0.01, (3, 3, 100))
    outcomes = {
        Trial(name, seed, EPOCHS): outcome(values + noise[position, seed])
        for position, (name, values) in enumerate(scores.items())
        for seed in range(3)
    }
    result = result_of(outcomes, right=False)
    assert [one.name for one in result.standings] == ["group", "original", "drop"]
    assert result.standings[0].mean == pytest.approx(1.5, abs=0.01)
    assert result.standings[0].difference.mean == pytest.approx(25, abs=0.5)
    assert "GroupNormalization beats the original by 25." in result.sentence
    assert "% of its loss" in result.sentence


def test_only_seeds_that_all_finalists_have_count():
    outcomes = final(original=(0.7, 0.7, 0.9), group=(0.8, 0.8), drop=(0.7, 0.7))
    result = result_of(outcomes)
    assert [len(one.values) for one in result.standings] == [2, 2, 2]
    assert {one.difference.count for one in result.standings if one.difference} == {2}


def test_an_original_that_did_not_train_beats_nobody():
    outcomes = final(group=(0.8, 0.8, 0.8))
    outcomes |= {Trial("original", seed, EPOCHS): outcome(None, 1, "NaN loss in epoch 1") for seed in range(3)}
    result = result_of(outcomes)
    assert result.sentence.startswith("The original did not train (NaN loss in epoch 1, with seed 0)")
    assert result.sentence.endswith("GroupNormalization does, with 79.8% accuracy.")
    assert result.standings[0].difference is None
    assert result.standings[-1].name == "original"


def test_a_candidate_that_fails_with_one_seed_is_no_winner():
    outcomes = final(original=(0.7, 0.7, 0.7), group=(0.9, 0.9, 0.9))
    outcomes[Trial("group", 1, EPOCHS)] = outcome(None, 2, "NaN loss in epoch 2")
    result = result_of(outcomes)
    assert result.winner == "original"
    assert result.standings[-1].failure == "NaN loss in epoch 2, with seed 1"
    assert result.sentence == "Only the original trained: GroupNormalization did not."


@pytest.mark.parametrize("outcomes", [{}, final(original=(0.7,))])
def test_a_race_cut_short_says_so(outcomes):
    result = result_of(outcomes, interrupted=True)
    assert "Nothing" in result.sentence or "nothing can be said" in result.sentence
    assert "interrupted" in str(result)


def test_few_samples_are_told():
    outcomes = {
        Trial(name, seed, EPOCHS): outcome(np.full(20, right))
        for name, right in (("original", 0.0), ("group", 1.0))
        for seed in range(3)
    }
    result = result_of(outcomes, samples=20)
    assert result.standings[0].verdict == "no measurable difference"
    assert "fewer than 30 validation samples" in str(result)


def test_the_result_is_plain_data(clear):
    left = LeftOut("late", "late one", "the budget did not reach so far")
    result = result_of(final(original=(0.7,), group=(0.8,)), left_out=(left,))
    told = json.loads(result.to_json())
    assert told["schema"] == "keras-advisor-race/1"
    assert told["sentence"] == result.sentence
    assert told["standings"][0]["difference"]["half_width"] is None
    assert told["left_out"] == [{"name": "late", "title": "late one", "reason": left.reason}]
    assert "late" in str(result)
    assert not {"model", "study"} & told.keys()


def test_a_race_of_equal_candidates_seldom_has_a_better_one():
    """The whole race, with its selection: twelve challengers that are all the original."""
    generator = np.random.default_rng(0)
    names = ["original", *(f"c{number}" for number in range(12))]
    candidates = [Candidate(name, name, None, None) for name in names]
    better = 0
    for _ in range(100):
        difficulty = 1.5 + generator.normal(0, 1.5, 400)
        outcomes = {}
        steps = walk(names[1:], epochs=EPOCHS, seeds=3, budget=Budget(trials=60))
        trial = next(steps)
        while True:
            right = (difficulty + generator.normal(0, 0.2) + generator.normal(0, 1, 400) > 0).astype("float64")
            outcomes[trial] = Outcome(right[1::2], float(right[::2].mean()), trial.epochs, 1.0)
            try:
                trial = steps.send(outcomes[trial])
            except StopIteration:
                break
        standings = standings_of(candidates, outcomes, epochs=EPOCHS, seeds=3, counts_right_answers=True)
        better += standings[0].verdict == "better"
    # 5 % of 100, with a standard error of 2.2.
    assert better <= 5 + 2 * 2.2
