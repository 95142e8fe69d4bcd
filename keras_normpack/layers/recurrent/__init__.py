"""Recurrent cells and layers with layer normalization inside the step."""
