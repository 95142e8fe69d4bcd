import dataclasses
import io
import re

import pytest
from rich.console import Console

from advisor.facts import Measurement
from advisor.facts.probes import ProbeFailure
from advisor.report import print_examination, print_rewrite, to_text
from advisor.report.wording import account_of
from advisor.rewrite import Skipped
from advisor.rules import Finding, Fix, PlanChange, Reference, Requirement, Severity
from advisor.rules.examination import NotRun, RuleFailure

LONE_LINK = re.compile(r"\s+https://\S+")


def finding(layer="dense", message="a message", **arguments):
    settings = {"code": "X101", "name": "some-defect", "severity": Severity.WARNING, "why": "It matters."}
    return Finding(layers=(layer,) if layer else (), message=message, **{**settings, **arguments})


def squeezed(text):
    """The words in order, without the layout."""
    return " ".join(text.split())


def printed(show, subject, *, width=80, terminal=False):
    stream = io.StringIO()
    colors = "truecolor" if terminal else None
    show(subject, Console(file=stream, width=width, force_terminal=terminal, color_system=colors))
    return stream.getvalue()


def test_every_finding_stands_in_the_table_with_its_details_below(advice):
    text = to_text(advice.examination)
    words = squeezed(text)
    assert {"H602", "N101", "N102", "D201", "R305"} <= {finding.code for finding in advice.findings}
    for found in advice.findings:
        place = found.layer or "the run"
        assert re.search(rf"^ {found.code}\s+{found.severity}\s+{place}\s", text, re.MULTILINE)
        assert squeezed(found.why) in words
        assert all(reference.url in text for reference in found.references)
        assert all(squeezed(f"{m.name}: {m.value:.3g}") in words for m in found.measurements)
        assert all(squeezed(change.title) in words for change in found.plan)


def test_fixes_that_differ_in_names_alone_are_written_once(advice):
    words = squeezed(to_text(advice.examination))
    assert "drop the bias of `conv1` and take it off the moving mean of `bn1` (exact), and 1 more likewise" in words
    assert "drop the bias of `conv2`" not in words
    assert "compile SparseCategoricalCrossentropy with from_logits=False (retrain) see" in words
    assert "move `drop1` before `predictions` (retrain) see" in words


def test_the_model_and_the_run_are_named_first(advice):
    first, second = to_text(advice.examination).splitlines()[:2]
    assert first == "small_cnn · 9 layers · 764 parameters · conv · classification"
    assert second == "batch size 4 · 16 steps in 2 epochs · 32 samples of 4 classes"


def test_the_last_line_counts(advice):
    last = to_text(advice.examination).splitlines()[-1]
    severities = [finding.severity for finding in advice.findings]
    safeties = [finding.fix.safety for finding in advice.findings if finding.fix]
    assert last.startswith(f"{len(severities)} findings: {severities.count('error')} error")
    assert last.endswith(f"Fixable: {safeties.count('exact')} exact, {safeties.count('retrain')} retrain.")


def test_messages_are_whole_and_fit_80_columns(advice):
    text = to_text(advice.examination)
    assert all(len(line) <= 80 or LONE_LINK.fullmatch(line) for line in text.splitlines())
    column = text.splitlines()[3].index("what")
    table = text.split("\n\n")[0].splitlines()[5:-1]
    assert squeezed(" ".join(line[column:] for line in table)) == squeezed(
        " ".join(found.message for found in advice.findings)
    )


@pytest.mark.parametrize("width", [60, 100, 200])
def test_any_width_is_kept(advice, width):
    text = printed(print_examination, advice.examination, width=width)
    assert all(len(line) <= width or LONE_LINK.fullmatch(line) for line in text.splitlines())


def test_colour_only_where_somebody_sees_it(advice):
    plain = printed(print_examination, advice.examination)
    coloured = printed(print_examination, advice.examination, terminal=True)
    assert "\x1b" not in plain
    assert "\x1b" in coloured
    assert re.sub(r"\x1b\[[0-9;]*m", "", coloured) == plain


def test_brackets_and_emoji_codes_are_text_and_no_markup(examination_of):
    odd = finding(message="values in [0, 1], not [bold]; dtype :smile: stays", why="See [red]this[/red].")
    words = squeezed(to_text(examination_of([odd])))
    assert "values in [0, 1], not [bold]; dtype :smile: stays" in words
    assert "See [red]this[/red]." in words


def test_links_are_never_broken(examination_of):
    url = "https://example.org/" + "a" * 120
    text = to_text(examination_of([finding(references=(Reference("k", "Title", "Somebody 2000", url),))]))
    assert any(line.strip() == url for line in text.splitlines())
    assert "Somebody 2000" in text


def test_many_alike_are_counted_after_the_first_ones(examination_of):
    fix = Fix("mend it", (), "exact")
    many = [finding(f"layer_{i}", f"layer_{i} is odd", fix=fix) for i in range(20)]
    text = to_text(examination_of(many))
    assert "layer_5 is odd" in text
    assert "layer_6 is odd" not in text
    assert "and 14 more like these; the JSON report has them all" in squeezed(text)
    assert "mend it (exact), and 19 more likewise" in text
    assert text.splitlines()[-1] == "20 findings: 20 warnings. Fixable: 20 exact."


def test_every_refusal_is_shown(examination_of):
    refused = [finding(f"layer_{i}", refusal=f"reason {i}. By hand: remove `layer_{i}`") for i in range(12)]
    words = squeezed(to_text(examination_of(refused)))
    assert all(f"no fix layer_{i}: reason {i}. By hand: remove `layer_{i}`" in words for i in range(12))


def test_figures_name_their_layer_and_limit(examination_of):
    figure = Measurement("dispersion", 0.41234, "1", samples=64, seed=3, threshold=0.1)
    words = squeezed(to_text(examination_of([finding(measurements=(figure,))])))
    assert "measured `dense` dispersion: 0.412 (64 samples, seed 3); the limit is 0.1" in words


def test_findings_about_the_run_and_about_several_layers(examination_of):
    run = finding(None, plan=(PlanChange("early_stopping", {"patience": 5}, "stop early"),))
    several = Finding("X102", "other", Severity.INFO, ("dense", "b", "c"), "three layers", "Because.")
    text = to_text(examination_of([run, several]))
    assert re.search(r"X101\s+warning\s+the run\s+a message", text)
    assert re.search(r"X102\s+info\s+dense \+2\s+three layers", text)
    assert "training  stop early" in text


def test_rules_that_did_not_run_are_grouped_by_what_they_miss(examination_of):
    not_run = [
        NotRun("N102", "a", (Requirement.BATCH_SIZE,)),
        NotRun("N112", "b", (Requirement.STEPS,)),
        NotRun("N104", "c", (Requirement.BATCH_SIZE,)),
        NotRun("A401", "d", (Requirement.DATA, Requirement.STEPS)),
    ]
    lines = [squeezed(line) for line in to_text(examination_of(not_run=not_run)).splitlines()]
    assert "4 rules did not run" in lines
    assert "missing the batch size: N102, N104" in lines
    assert "missing the steps per epoch and the epochs: N112" in lines
    assert any(line.startswith("missing training data and the steps per epoch") for line in lines)
    assert lines[-1] == "Nothing found."


@pytest.mark.parametrize("requirement", Requirement)
def test_whatever_is_missing_has_words(examination_of, requirement):
    text = to_text(examination_of(not_run=[NotRun("X101", "some-defect", (requirement,))]))
    assert re.search(r"missing   [a-z].*: X101$", text, re.MULTILINE)


def test_failures_are_shown(examination_of):
    text = to_text(examination_of(failures=[RuleFailure("X101", "ValueError: no [luck]", "Traceback …")]))
    assert "X101" in text
    assert "failed, please report it: ValueError: no [luck]" in text


def test_what_could_not_be_measured_is_shown_with_the_reason_once(examination_of):
    error = "ValueError: no [luck] " + "x " * 500
    failures = [ProbeFailure(probe, error) for probe in ("dead_share", "mode_difference")]
    examination = dataclasses.replace(examination_of(), not_measured=tuple(failures))
    words = squeezed(to_text(examination))
    assert "2 figures could not be measured on the data" in words
    assert words.count("dead_share, mode_difference: ValueError: no [luck] x x") == 1
    assert len(words) < 1000


def test_a_rewrite_shows_what_was_applied_when_and_how_exactly(advice):
    rewrite = advice.rewrite()
    text = printed(print_rewrite, rewrite)
    words = squeezed(text)
    rows = [line.split() for line in text.splitlines()[3:] if re.match(r" [A-Z]\d{3} ", line)]
    assert [row[0] for row in rows] == list(dict.fromkeys(fix.finding.code for fix in rewrite.applied))
    by_code = {row[0]: row for row in rows}
    assert by_code["N101"][1:3] == ["conv1", "+1"]
    assert by_code["N101"][-2:] == ["1", "0" if rewrite.parity == 0 else f"{rewrite.parity:.0e}"]
    assert by_code["D201"][1] == "drop1"
    assert by_code["D201"][-2:] == ["2", "retrain"]
    assert "and 1 more" in text
    assert max(map(len, text.splitlines())) <= 80
    assert f"{len(rewrite.applied)} applied, {len(rewrite.skipped)} skipped" in words
    kept = sum(origin.origin == "kept" for origin in rewrite.weight_map.values())
    assert f"variables: {kept} kept" in words


def test_a_rewrite_shows_what_was_skipped_and_why(advice):
    rewrite = advice.rewrite("exact")
    words = squeezed(printed(print_rewrite, rewrite))
    assert rewrite.skipped
    assert all(skipped.reason in words for skipped in rewrite.skipped)
    assert account_of(rewrite) in words
    assert "outputs after the exact fixes" in words


def test_every_refusal_of_a_rewrite_is_shown_and_equal_reasons_once(advice):
    skipped = [Skipped(finding(f"layer_{i}"), f"no graph. By hand: {edit}") for i, edit in enumerate("abc")]
    skipped += [Skipped(finding(f"other_{i}"), f"`other_{i}` was not selected") for i in range(5)]
    text = printed(print_rewrite, dataclasses.replace(advice.rewrite("exact"), skipped=tuple(skipped)))
    assert all(re.search(rf"X101\s+layer_{i}\s+no graph. By hand: {edit}", text) for i, edit in enumerate("abc"))
    assert re.search(r"X101\s+other_0\s+`other_0` was not selected\s+and 4 more", text)
    assert "8 skipped" in text


def test_an_unverified_exact_fix_is_called_so(advice):
    assert re.search(r" N101 .* 1 +unverified", printed(print_rewrite, advice.rewrite("exact", verify=False)))
