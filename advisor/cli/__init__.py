"""`keras-advisor`: the advisor on the command line.

Exit codes: 0 nothing found or everything fixed, 1 findings, 2 failure. Keras is imported by the commands that need it,
so that help and wrong usage answer at once.
"""

from advisor.cli.app import app, main

__all__ = ["app", "main"]
