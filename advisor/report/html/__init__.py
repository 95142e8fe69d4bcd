"""The report as one HTML file, and its pictures.

A model and its rewrite become a description of what is to be drawn (`comparison.py`), long ones fold (`blocks.py`),
what is left gets places (`pieces.py`, `layout.py`), is drawn (`figures.py`) and put into a page (`page.py`).
"""
