"""Augmentation of series, waveforms and spectrograms."""
