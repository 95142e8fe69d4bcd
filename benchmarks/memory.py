"""Peak memory of a process, shared by the benchmarks (Linux)."""

import subprocess
import sys
from pathlib import Path


def own_peak() -> float:
    """Most memory this process has held so far, in MiB.

    Not by `resource.getrusage`, whose figure begins with the memory of the process that started this one.
    """
    status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text(encoding="utf-8").splitlines())
    return round(int(status["VmHWM"].split()[0]) / 1024, 1)


def peak_in_own_process(module: str, *arguments: str) -> float:
    """Runs a module in a process of its own and reads the number it prints last.

    Args:
        module: Module to run, such as `"benchmarks.layers"`.
        *arguments: Its command line arguments.

    Returns:
        What it printed last, its `own_peak()`.
    """
    done = subprocess.run([sys.executable, "-m", module, *arguments], capture_output=True, text=True, check=True)
    return float(done.stdout.split()[-1])
