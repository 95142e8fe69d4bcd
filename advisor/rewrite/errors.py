"""Why a rewrite could not be done."""


class RewriteError(Exception):
    """A model, or a part of it, cannot be rewritten; the message says which part, why, and what to do instead."""


class UncopyableError(RewriteError):
    """A part cannot even be copied as it is, so that nothing around it can be rewritten either."""
