"""Forms of layers for LiteRT, one file per family; the first of a layer's forms is preferred among equals."""

from advisor.litert.forms.form import Form
from advisor.litert.forms.registry import forms_of

__all__ = ["Form", "forms_of"]
