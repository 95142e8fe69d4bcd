"""The structure the project promises: who may touch what, what loads when, what the folders hold."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
ADVISOR = sorted((ROOT / "advisor").rglob("*.py"))
TOP_LEVEL = {
    "setup.cfg", "pyproject.toml", "keras_normpack", "advisor", "examples", "tests", "README.md", "benchmarks", "docs",
    "CHANGELOG.md", "CONTRIBUTING.md", "LICENSE",
}  # fmt: skip
HEAVY = (
    "sklearn", "tensorflow_datasets", "ai_edge_litert", "typer", "rich", "jinja2", "optuna", "ray", "matplotlib",
    "igraph", "tf2onnx", "onnx", "onnxruntime", "keras_tuner",
)  # fmt: skip


@pytest.mark.parametrize("file", ADVISOR, ids=lambda file: str(file.relative_to(ROOT)))
def test_private_keras_attributes_are_touched_in_one_file_only(file):
    if file.name == "keras_internals.py":
        return
    tree = ast.parse(file.read_text("utf-8"))
    assert not [name for name in _imported(tree) if name.startswith("keras.src")]
    own = _private_names_defined(tree)
    foreign = [
        f"line {node.lineno}: {ast.unparse(node)}"
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute) and _is_private(node.attr) and node.attr not in own
    ]
    assert not foreign


@pytest.mark.parametrize("package", ["advisor", "keras_normpack"])
def test_heavy_libraries_load_when_used(package):
    # Keras itself loads some of them where they are installed.
    script = (
        f"import sys, keras; before = set(sys.modules); import {package}; "
        f"print([name for name in {HEAVY!r} if name in set(sys.modules) - before])"
    )
    result = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"


def test_the_command_line_shows_its_help_without_keras():
    script = "import sys, advisor.cli; print('keras' in sys.modules)"
    result = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "False"


def test_the_top_level_holds_what_the_design_lists():
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=False).stdout
    if not listed:
        pytest.skip("not a git checkout")
    top = {path.split("/")[0] for path in listed.splitlines()}
    assert {name for name in top if not name.startswith(".")} <= TOP_LEVEL


def test_ci_runs_the_line_the_readme_prints():
    line = next(line for line in (ROOT / "README.md").read_text("utf-8").splitlines() if "# run the tests" in line)
    assert line.startswith("    ")
    assert "pytest" in line
    assert "README.md" in (ROOT / ".ci" / "run").read_text("utf-8")


def _imported(tree):
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module or ""


def _private_names_defined(tree):
    names = set()
    for node in ast.walk(tree):
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
            names.add(node.name)
        elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
            names.add(node.attr)
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            names.add(node.target.id)
    return names


def _is_private(name):
    return name.startswith("_") and not name.startswith("__")
