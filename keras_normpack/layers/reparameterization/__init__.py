"""Wrappers that express the weights of a layer through others."""
