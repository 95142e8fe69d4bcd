"""What can go wrong with the demo's data."""


class DemoDataError(ValueError):
    """The data set cannot be had; the message says what to do about it."""
