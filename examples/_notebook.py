"""Runs the notebook and writes it back with its outputs, without what differs from run to run for no reason.

python examples/_notebook.py
"""

from pathlib import Path

import nbformat
from nbclient import NotebookClient

NOTEBOOK = Path(__file__).with_name("from_advise_to_phone.ipynb")


def executed(notebook: nbformat.NotebookNode, folder: Path) -> nbformat.NotebookNode:
    """The notebook after all its cells ran in that folder; warnings, times and the kernel's own data are left out."""
    resources = {"metadata": {"path": str(folder)}}
    notebook = NotebookClient(notebook, timeout=600, coalesce_streams=True, resources=resources).execute()
    notebook.metadata = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
    for cell in notebook.cells:
        cell.metadata = {}
        if cell.cell_type == "code":
            cell.outputs = [output for output in cell.outputs if output.get("name") != "stderr"]
    return notebook


if __name__ == "__main__":
    nbformat.write(executed(nbformat.read(NOTEBOOK, as_version=4), NOTEBOOK.parent), NOTEBOOK)
