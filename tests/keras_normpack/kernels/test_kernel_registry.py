"""The registry: references by name, kernels of the current backend only."""

import ast
import subprocess
import sys
from pathlib import Path

import keras
import pytest

import keras_normpack
from keras_normpack.kernels import Call, choose, fastest, kernels, reference
from keras_normpack.kernels.reference import REFERENCES

BACKENDS = ("tensorflow", "jax", "torch")


@pytest.mark.parametrize("ask", [reference, kernels, lambda name: choose(name, Call((2, 3), "float32", 1))])
def test_an_unknown_operation_is_named_with_the_known_ones(ask):
    with pytest.raises(ValueError, match=r"one of \['batch_normalization', .*Received: operation='batch_norm'"):
        ask("batch_norm")


def test_every_kernel_belongs_to_a_reference():
    assert all(kernel.operation in REFERENCES for name in REFERENCES for kernel in kernels(name))


def test_the_reference_stands_in_where_no_kernel_is_faster():
    call = Call((2, 3, 3, 1), "float8_e4m3fn", 3)
    assert choose("batch_normalization", call) is None
    assert fastest("batch_normalization", call) is reference("batch_normalization")


def test_a_call_counts_unknown_sizes_as_thirty_two():
    call = Call((None, 4, None, 3), "float32", 3)
    assert (call.elements, call.positions, call.channels) == (32 * 4 * 32 * 3, 4 * 32, 3)


def test_a_backend_without_kernels_has_the_references(monkeypatch):
    monkeypatch.setattr(keras.backend, "backend", lambda: "openvino")
    assert kernels("batch_normalization") == ()


def test_importing_the_package_loads_no_kernel():
    code = """
import sys, keras_normpack
assert not [name for name in sys.modules if name.startswith("keras_normpack.kernels.") and name.split(".")[2] in {
    "tensorflow", "jax", "torch"}]
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]


def test_only_the_kernels_of_a_backend_import_it_when_they_load():
    package = Path(keras_normpack.__file__).parent
    importing = {
        (path.relative_to(package).parts[:2], name.split(".")[0])
        for path in package.rglob("*.py")
        for statement in ast.parse(path.read_text()).body
        if isinstance(statement, ast.Import | ast.ImportFrom)
        for name in _modules(statement)
        if name.split(".")[0] in BACKENDS
    }
    assert importing == {(("kernels", backend), backend) for backend in BACKENDS}


def _modules(statement):
    if isinstance(statement, ast.ImportFrom):
        return [statement.module or ""]
    return [alias.name for alias in statement.names]
