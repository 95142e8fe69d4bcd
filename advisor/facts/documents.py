"""Are images ink on paper?"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

MOST_SATURATION = 0.05
LEAST_PAPER = 0.4
LEAST_INK = 0.04
MOST_BETWEEN = 0.4
NEAR = 0.1
"""Share of the range within which a pixel counts as paper or ink.

The median image, as `benchmarks.modalities` measures it: paper 52 % and ink 12 % in scikit-learn's digits, 83 and 8 %
in MNIST, 54 and 1.5 % in Fashion-MNIST (clothes on black, but shaded), 4 and 0 % in CIFAR-10 as grey, up to 22 and 0 %
in pieces of a photograph."""


def is_document_like(images: np.ndarray) -> bool:
    """Whether images show digits, letters, line drawings and the like: mostly paper, some ink, little in between.

    Args:
        images: Finite numbers of shape `(batch, height, width)` or `(batch, height, width, channels)`.

    Returns:
        Whether they do.

    Example:
    >>> from sklearn.datasets import load_digits
    >>> is_document_like(load_digits().images[:100])
    True
    """
    shades = Shades.of(images)
    return (
        shades.saturation <= MOST_SATURATION
        and shades.paper >= LEAST_PAPER
        and shades.ink >= LEAST_INK
        and shades.between <= MOST_BETWEEN
    )


@dataclass(frozen=True)
class Shades:
    """What the median image is made of.

    Attributes:
        paper: Share of pixels that are nearly black or nearly white, whichever are more.
        ink: Share of the other of the two.
        between: Share of the rest.
        saturation: Mean distance of the strongest from the weakest colour of a pixel, as a share of the range.
    """

    paper: float
    ink: float
    between: float
    saturation: float

    @classmethod
    def of(cls, images: np.ndarray) -> Shades:
        """Of images as `is_document_like` takes them; those of one shade are paper without ink."""
        images = images[..., None] if images.ndim == 3 else images
        low, high = float(images.min()), float(images.max())
        if not high > low:
            return cls(1.0, 0.0, 0.0, 0.0)
        pixels = (images.astype("float32") - low) / (high - low)
        grey = pixels.mean(axis=-1)
        dark, light = (grey < NEAR).mean(axis=(1, 2)), (grey > 1 - NEAR).mean(axis=(1, 2))
        return cls(
            float(np.median(np.maximum(dark, light))),
            float(np.median(np.minimum(dark, light))),
            float(np.median(1 - dark - light)),
            float((pixels.max(axis=-1) - pixels.min(axis=-1)).mean()),
        )
