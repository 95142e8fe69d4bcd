"""The shared timing helper."""

import json

import pytest

from benchmarks.timing import geometric_mean, interleaved, machine, median, median_ratio, write_json


def test_rivals_take_turns_and_the_first_changes():
    order = []
    seconds = interleaved({name: lambda name=name: order.append(name) for name in "ab"}, repeats=3, warmup=1)
    assert "".join(order) == "ab" + "ab" + "ba" + "ab"
    assert {name: len(times) for name, times in seconds.items()} == {"a": 3, "b": 3}
    assert min(map(min, seconds.values())) >= 0


@pytest.mark.parametrize(("callables", "repeats"), [({}, 3), ({"a": int}, 0)])
def test_nothing_to_time_raises(callables, repeats):
    with pytest.raises(ValueError, match=r"at least one callable and repeats >= 1\. Received: "):
        interleaved(callables, repeats)


def test_ratios_are_of_runs_side_by_side():
    assert median([3.0, 1.0, 2.0]) == 2.0
    assert median_ratio([2.0, 40.0, 6.0], [1.0, 10.0, 3.0]) == 2.0
    assert geometric_mean([2.0, 8.0]) == pytest.approx(4.0)
    with pytest.raises(ValueError, match="shorter"):
        median_ratio([1.0, 2.0], [1.0])


def test_json_is_written_whole_or_not_at_all(tmp_path):
    path = tmp_path / "results" / "figures.json"
    write_json(path, {"machine": machine()})
    written = path.read_text()
    assert json.loads(written)["machine"]["cores"] >= 1
    with pytest.raises(TypeError):
        write_json(path, {"bad": object()})
    assert path.read_text() == written
    assert [entry.name for entry in path.parent.iterdir()] == ["figures.json"]
