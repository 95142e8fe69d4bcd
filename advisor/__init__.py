"""A model advisor for Keras: inspect, explain, rewrite, train, export."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from advisor.advice import Advice, advise

__all__ = ["Advice", "advise"]


def __getattr__(name: str) -> Any:
    # Keras takes seconds to import; the command line's help and its errors need not wait for it.
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from advisor import advice

    return getattr(advice, name)
