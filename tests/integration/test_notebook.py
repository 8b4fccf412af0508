"""The notebook, run by a kernel of its own."""

import re
import shutil
from base64 import b64decode
from pathlib import Path

import jupytext
import keras
import nbformat
import numpy as np
import pytest
from nbclient import NotebookClient

from fashion.model.networks import answer
from fashion.params import load_params
from fashion.stages.raw import read_raw
from tests.projects import edit_params
from tests.servers import PATIENCE_SECONDS

NOTEBOOKS = Path(__file__).parents[2] / "notebooks"
NAME = "fashion.ipynb"


def outputs_of(notebook):
    return [output for cell in notebook.cells if cell.cell_type == "code" for output in cell.outputs]


def data_of(notebook, kind):
    return [output.data[kind] for output in outputs_of(notebook) if kind in output.get("data", {})]


@pytest.fixture
def run_notebook(small_project):
    """The notebook as it is after all of its cells, beside the project in which they ran."""
    # Enough steps for 480 images; with those of the real recipe, seven, a network learns little.
    edit_params(small_project, {"train": {"recipes": {"compact": {"batch_size": 32, "epochs": 12}}}})
    folder = Path(shutil.copytree(NOTEBOOKS, small_project.root / "notebooks", dirs_exist_ok=True))
    notebook = nbformat.read(folder / NAME, as_version=4)
    NotebookClient(notebook, timeout=PATIENCE_SECONDS, resources={"metadata": {"path": str(folder)}}).execute()
    return small_project, notebook


def test_the_notebook_makes_what_it_tells_of(run_notebook):
    project, notebook = run_notebook
    made = project.root / "artifacts" / "notebook"
    said = "\n".join(data_of(notebook, "text/markdown"))
    accuracy, images = re.search(r"Accuracy ([\d.]+)%\*\* on ([\d,]+) test images", said).groups()
    assert float(accuracy) > 75
    pictures = [b64decode(picture) for picture in data_of(notebook, "image/png")]
    for name in ("samples", "training_curves", "confusion_matrix", "predictions", "mistakes", "seen"):
        assert (made / f"{name}.png").read_bytes() in pictures
    test = read_raw(project, load_params(project.params).data)["test"]
    assert int(images.replace(",", "")) == len(test.labels)
    right = answer(keras.models.load_model(made / "model.keras"), test.images).correct(test.labels)
    assert np.isclose(100 * right.mean(), float(accuracy), atol=0.05)
    assert "The largest difference of any probability is 0." in said


def test_the_notebook_is_kept_without_outputs_and_in_step_with_its_text_file():
    kept = nbformat.read(NOTEBOOKS / NAME, as_version=4)
    assert outputs_of(kept) == []
    assert {cell.execution_count for cell in kept.cells if cell.cell_type == "code"} == {None}
    text = jupytext.read(NOTEBOOKS / "fashion.md")
    cells = [[(cell.cell_type, cell.source) for cell in notebook.cells] for notebook in (kept, text)]
    assert cells[0] == cells[1], "type: jupytext --sync notebooks/fashion.ipynb"
