import json

from benchmarks.transfer import with_row


def test_a_row_takes_the_place_of_an_older_one_of_the_same_trial_and_leaves_the_others(tmp_path):
    results = tmp_path / "transfer.json"

    def add(per_class, arm, accuracy):
        rows = with_row(results, {"per_class": per_class, "arm": arm, "accuracies": [accuracy]})
        results.write_text(json.dumps({"rows": rows}), encoding="utf-8")
        return [(row["per_class"], row["arm"], *row["accuracies"]) for row in rows]

    assert add(100, "two phases", 0.5) == [(100, "two phases", 0.5)]
    assert add(20, "two phases", 0.4) == [(20, "two phases", 0.4), (100, "two phases", 0.5)]
    assert add(20, "from scratch", 0.3)[0] == (20, "from scratch", 0.3)
    assert add(100, "two phases", 0.6) == [
        (20, "from scratch", 0.3),
        (20, "two phases", 0.4),
        (100, "two phases", 0.6),
    ]
