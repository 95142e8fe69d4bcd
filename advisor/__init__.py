"""A model advisor for Keras: inspect, explain, rewrite, train, export."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from advisor.advice import Advice, advise
    from advisor.watching.callback import AdvisorCallback

__all__ = ["Advice", "AdvisorCallback", "advise"]

_HOMES = {"AdvisorCallback": "advisor.watching.callback", "Advice": "advisor.advice", "advise": "advisor.advice"}


def __getattr__(name: str) -> Any:
    # Keras takes seconds to import; the command line's help and its errors need not wait for it.
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)
