"""The one error of the export."""


class ExportError(ValueError):
    """An export that was refused or failed; no file was written and an existing one was left as it was."""
