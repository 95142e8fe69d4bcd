"""torch's own layers on the shapes of `benchmarks.layers`, which runs this in a process of its own.

Takes a JSON list of `[layer, shape]` with channels last and prints one of `[layer, shape, copies]`: the time of
forward and backward in elementwise copies of the same size. Images are in torch's channels-last memory format.
"""

import json
import sys
from collections.abc import Callable
from typing import Any

import torch

from benchmarks.timing import interleaved, median_ratio

_REPEATS = 31


def main() -> None:
    wanted = json.loads(sys.argv[1])
    json.dump([[name, shape, round(_copies(name, shape), 3)] for name, shape in wanted], sys.stdout)


def _copies(name: str, shape: list[int]) -> float:
    layer = _layer(name, shape[-1], len(shape))
    inputs, cotangent = (_channels_second(name, torch.randn(shape)) for _ in range(2))
    inputs.requires_grad_()
    sources = [inputs, *layer.parameters()]

    def training_pass() -> Any:
        return torch.autograd.grad(layer(inputs), sources, cotangent)

    def copy() -> Any:
        with torch.no_grad():
            return inputs * 1.0001

    seconds = interleaved({"layer": training_pass, "copy": copy}, _REPEATS, warmup=3)
    return median_ratio(seconds["layer"], seconds["copy"])


def _layer(name: str, channels: int, rank: int) -> Any:
    along_channels: dict[str, Callable[[], Any]] = {
        "BatchNormalization": lambda: torch.nn.BatchNorm2d(channels) if rank == 4 else torch.nn.BatchNorm1d(channels),
        "GroupNormalization": lambda: torch.nn.GroupNorm(32, channels),
        "InstanceNormalization": lambda: torch.nn.GroupNorm(channels, channels),
        "LayerNormalization": lambda: torch.nn.LayerNorm(channels),
        "RMSNormalization": lambda: torch.nn.RMSNorm(channels),
    }
    return along_channels[name]()


def _channels_second(name: str, values: Any) -> Any:
    """Layer and RMS normalization take channels last; the others second, here as a view that leaves memory as it is."""
    return values if name in ("LayerNormalization", "RMSNormalization") else values.movedim(-1, 1)


if __name__ == "__main__":
    main()
