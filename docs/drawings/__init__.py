"""Draws the pictures of the technique pages: `python -m docs.drawings` from the top of the repository.

The pictures are SVG written by hand, without a plotting library: the same bytes on every machine, so that a test can
hold the committed files to this code.
"""
