import io
import re
from pathlib import Path

import pytest
from rich.console import Console

from advisor.report.rule_pages import INDEX, SECTIONS, print_rules, read_docstring, rule_page, rule_pages, write_pages
from advisor.rules import Case, Requirement, Rule, Severity, all_rules, reference

FOLDER = Path(__file__).parents[3] / "docs" / "rules"
RULES = [rule for rule in all_rules().values() if type(rule).__module__.startswith("advisor.rules.")]
REMEDY = "run `keras-advisor rules --pages docs/rules` and commit the result"


class SomeRule(Rule):
    """Something is | wrong.

    What it does:
        Looks at `layers`.

        And again.

    Why it matters:
        It costs.

    Example:
        ```python
        model = keras.Sequential([
            layers.Dense(1),
        ])
        ```

    Fix:
        Mends it. Safety: exact.

    References:
        Written elsewhere.
    """

    code = "X101"
    name = "something-wrong"
    severity = Severity.WARNING
    requires = frozenset({Requirement.GRAPH, Requirement.BATCH_SIZE, Requirement.DATA})
    references = ("ioffe-2015",)
    VALID = (Case("nothing wrong", list),)
    INVALID = (Case("all wrong", list), Case("half wrong", list))

    def check(self, facts):
        yield from ()


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.code)
def test_the_committed_page_is_up_to_date(rule):
    page = FOLDER / f"{rule.code}.md"
    assert page.is_file(), REMEDY
    assert page.read_text("utf-8") == rule_page(rule), REMEDY


def test_the_committed_index_is_up_to_date_and_no_page_is_left_over():
    pages = rule_pages(RULES)
    assert (FOLDER / INDEX).read_text("utf-8") == pages[INDEX], REMEDY
    assert {path.name for path in FOLDER.iterdir()} == set(pages)


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.code)
def test_every_rule_explains_itself(rule):
    summary, sections = read_docstring(rule)
    assert summary.endswith(".")
    assert "\n\n" not in summary
    assert tuple(sections) == SECTIONS
    assert all(sections.values())
    assert sections["Example"].startswith("```python\n")
    assert sections["Example"].endswith("\n```")
    assert re.search(r"Safety: (exact|retrain|advice|plan)", sections["Fix"]) or "Safety" not in sections["Fix"]


def test_the_index_links_every_rule():
    index = rule_pages(RULES)[INDEX]
    assert re.findall(r"\[(\w+)\]\(\1\.md\)", index) == [
        rule.code for rule in sorted(RULES, key=lambda rule: (type(rule).__module__.split(".")[2], rule.code))
    ]


def test_a_page_holds_docstring_cases_needs_and_references():
    page = rule_page(SomeRule())
    source = reference("ioffe-2015")
    assert page.startswith("# X101: something-wrong\n")
    assert "| warning | `batch_size` and `data` | published results |" in page
    assert "## What it does\n\nLooks at `layers`.\n\nAnd again.\n\n## Why it matters\n\nIt costs.\n\n## Example" in page
    assert "```python\nmodel = keras.Sequential([\n    layers.Dense(1),\n])\n```" in page
    assert "## Speaks on\n\n- all wrong\n- half wrong\n\n## Stays silent on\n\n- nothing wrong\n" in page
    assert page.endswith(f"## References\n\n- {source.authors}: [{source.title}]({source.url})\n")
    assert "Written elsewhere" not in page


def test_rules_of_others_stand_in_the_index_under_their_package():
    index = rule_pages([SomeRule(), *RULES])[INDEX]
    section = index.split(f"## {SomeRule.__module__.split('.')[0].capitalize()}\n")[1].split("\n## ")[0]
    assert (
        r"| [X101](X101.md) | something-wrong | warning | `batch_size` and `data` | Something is \| wrong. |" in section
    )


def test_pages_are_written_whole_and_nothing_else(tmp_path):
    written = write_pages([SomeRule()], tmp_path / "new" / "folder")
    assert {path.name for path in written} == {"X101.md", INDEX}
    assert set(written) == set((tmp_path / "new" / "folder").iterdir())
    assert written[0].read_text("utf-8") == rule_page(SomeRule())


def printed(rules):
    stream = io.StringIO()
    print_rules(rules, Console(file=stream, width=80, color_system=None))
    return stream.getvalue()


def test_one_rule_is_printed_as_its_page_and_several_as_a_list():
    page = printed([SomeRule()])
    assert "Looks at layers." in page
    assert reference("ioffe-2015").url in page
    listed = printed(RULES)
    assert all(re.search(rf"^ {rule.code}\s+{rule.name}\s+{rule.severity} ", listed, re.MULTILINE) for rule in RULES)
    assert max(map(len, listed.splitlines())) <= 80
