"""Settings for the advisor's tests."""

import pytest

from advisor.export import timing
from advisor.litert import choice


@pytest.fixture(autouse=True)
def short_timing(monkeypatch):
    """Exports measure for seconds what few tests are about."""
    monkeypatch.setattr(timing, "BUDGET_SECONDS", 0.02)
    monkeypatch.setattr(choice, "BUDGET_SECONDS", 0.02)
