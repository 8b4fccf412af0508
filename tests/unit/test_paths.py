import pytest

from fashion.errors import ParamsError
from fashion.paths import find_project


def make(folder):
    folder.mkdir()
    for name in ("params.yaml", "dvc.yaml"):
        (folder / name).touch()
    return folder


@pytest.mark.parametrize("name", ["a%20b", "a[x]b", "[ab]", "a\\b"])
def test_a_folder_that_a_tool_would_misread_is_refused_before_anything_is_written(tmp_path, name):
    folder = make(tmp_path / name)
    with pytest.raises(
        ParamsError, match="cannot be used: MLflow or TensorFlow would read .* Move it to a folder without"
    ):
        find_project(folder)
    assert {path.name for path in folder.iterdir()} == {"params.yaml", "dvc.yaml"}


@pytest.mark.parametrize("name", ["a b", "Äpfel", "a#b", "a?b", "100%", "a[b"])
def test_a_folder_with_another_sign_is_found(tmp_path, name):
    folder = make(tmp_path / name)
    (folder / "flows").mkdir()
    assert find_project(folder / "flows").root == folder.resolve()
