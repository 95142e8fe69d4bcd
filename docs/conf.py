"""How the docs site is built: `python -m sphinx -W --keep-going docs build/site`.

The pages are written to be read on GitHub as well, and docstrings in Markdown; the hooks at the end see to both.
"""

import os
import re

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

from sphinx.util.inspect import signature, stringify_signature

from keras_normpack import __version__

project = "keras-normpack"
version = release = __version__

extensions = ["myst_parser", "sphinx_external_toc", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
external_toc_path = "_toc.yml"
exclude_patterns = ["drawings"]
# Headings get the anchors that GitHub gives them.
myst_heading_anchors = 4

# A name in backticks that is on a page of the API becomes a link.
default_role = "py:obj"
autodoc_member_order = "bysource"
autodoc_typehints = "description"
autodoc_typehints_description_target = "documented"
autodoc_preserve_defaults = True
python_use_unqualified_type_names = True
# What every Keras layer has.
autodoc_default_options = {
    "exclude-members": "build, compute_mask, compute_output_shape, compute_output_spec, from_config, get_config"
}
napoleon_numpy_docstring = False
napoleon_use_ivar = True
# What a layer returns is what its call returns, and no type of the constructor.
napoleon_custom_sections = [("Source", "references"), ("Output", "returns_style")]

html_theme = "furo"
html_title = f"keras-normpack {version}"
html_copy_source = False
html_show_sphinx = False

EXAMPLE = re.compile(r"^Example:\n(.*?)(?=^[A-Z]\w+:$|\Z)", re.DOTALL | re.MULTILINE)
CODE = re.compile(r"(?<!`)`([^`]+)`(?!`)")
NAME = re.compile(r"[A-Za-z_][\w.]*")
OUTSIDE = re.compile(r"\]\((?:\.\./)+(CHANGELOG|CONTRIBUTING)\.md")


def read_markdown(app, what, name, obj, options, lines):
    """Code in docstrings stays code, and an example is indented below its heading, as Sphinx wants both."""
    parts = EXAMPLE.split("\n".join(lines))
    prose, examples = parts[::2], parts[1::2]
    prose = [CODE.sub(lambda code: code[0] if NAME.fullmatch(code[1]) else f"``{code[1]}``", text) for text in prose]
    examples = ["Example:\n" + re.sub(r"^(?=.)", "    ", example, flags=re.MULTILINE) for example in examples]
    if what == "class":
        prose = [re.sub(r"^Returns:$", "Output:", text, flags=re.MULTILINE) for text in prose]
    lines[:] = "".join(part for pair in zip(prose, [*examples, ""], strict=True) for part in pair).split("\n")


def show_arguments(app, what, name, obj, options, arguments, returned):
    """The arguments of a class are those of its constructor; Keras's layers hide them behind a `__new__`."""
    if what == "class" and arguments == "(*args, **kwargs)":
        return stringify_signature(signature(obj.__init__, bound_method=True), show_annotation=False), returned
    return None


def stay_on_the_site(app, page, source):
    """Links to the pages at the root of the repository lead to their copies on the site."""
    source[0] = OUTSIDE.sub(lambda link: f"](/{link[1].lower()}.md", source[0])


def setup(app):
    """Connect the hooks."""
    # Before napoleon, which reads the sections.
    app.connect("autodoc-process-docstring", read_markdown, priority=400)
    app.connect("autodoc-process-signature", show_arguments)
    app.connect("source-read", stay_on_the_site)
