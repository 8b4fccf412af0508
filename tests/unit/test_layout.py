"""What the paths of files say about pictures."""

from pathlib import PurePosixPath

import pytest

from fashion.errors import DataError
from fashion.intake.layout import Place, check_classes, lay_out, order_classes


def found(*paths):
    layout = lay_out(map(PurePosixPath, paths))
    return {str(path): place for path, place in layout.places.items()}


def test_a_folder_is_a_class_and_everything_below_belongs_to_it():
    assert found("cat/1.png", "cat/more/2.JPG", "dog & co/3.webp") == {
        "cat/1.png": Place("cat", None),
        "cat/more/2.JPG": Place("cat", None),
        "dog & co/3.webp": Place("dog & co", None),
    }


def test_folders_named_like_splits_hold_the_classes():
    assert found("Train/cat/1.png", "val/cat/2.png", "testing/dog/3.png") == {
        "Train/cat/1.png": Place("cat", "train"),
        "val/cat/2.png": Place("cat", "validation"),
        "testing/dog/3.png": Place("dog", "test"),
    }


def test_a_class_may_be_called_test_beside_others():
    assert found("test/1.png", "flight/2.png") == {
        "test/1.png": Place("test", None),
        "flight/2.png": Place("flight", None),
    }


@pytest.mark.parametrize("beside", ["unlabeled/3.png", "eval/cat/3.png", "unlabeled/more/3.png"])
@pytest.mark.parametrize("tested", ["test/cat/2.png", "val/2.png"])
def test_a_folder_that_is_no_split_beside_splits_is_refused_and_named(beside, tested):
    """Otherwise the classes were train and test."""
    with pytest.raises(DataError) as refused:
        found("around/Train/cat/1.png", f"around/{tested}", f"around/{beside}")
    assert f"The folder '{beside.split('/')[0]}' is no split" in str(refused.value)
    assert f"beside Train and {tested.split('/')[0]};" in str(refused.value)
    assert "\n" not in str(refused.value)


def test_a_folder_with_the_same_folders_as_that_for_training_is_no_class():
    with pytest.raises(DataError, match="The folder 'eval' is no split, and stands beside train; "):
        found("train/cat/1.png", "train/dog/2.png", "eval/cat/3.png")


@pytest.mark.parametrize(
    "paths",
    [
        ("train/1.png", "test/2.png", "bus/3.png"),
        ("train/steam/1.png", "train/diesel/2.png", "bus/3.png"),
        ("train/steam/1.png", "bus/electric/3.png"),
        ("dev/host/1.png", "test/host/2.png", "production/host/3.png"),
    ],
)
def test_classes_may_be_called_like_splits_where_they_can_be_none(paths):
    assert {place.label for place in found(*paths).values()} == {path.split("/")[0] for path in paths}


def test_a_folder_around_everything_is_looked_through():
    assert found("emoji/train/cat/1.png", "emoji/test/dog/2.png", "emoji/README.md") == {
        "emoji/train/cat/1.png": Place("cat", "train"),
        "emoji/test/dog/2.png": Place("dog", "test"),
    }


@pytest.mark.parametrize("unusable", ["dog/1.heic", "dog/1.png", "dog/more/IMG", "dog"])
@pytest.mark.parametrize("around", ["", "pets/"])
def test_a_class_of_which_nothing_can_be_used_is_one_although_the_others_have_folders_in_theirs(around, unusable):
    paths = [PurePosixPath(around, path) for path in ("cat/siamese/1.png", "cat/persian/2.png", unusable)]
    layout = lay_out(paths[:2], paths[2:]) if unusable != "dog/1.heic" else lay_out(paths)
    assert {place.label for place in layout.places.values()} == {"cat"}
    assert layout.label(paths[2]) == "dog"


def test_what_cannot_be_used_beside_the_folder_around_everything_or_beside_splits_is_no_class():
    paths = list(map(PurePosixPath, ["emoji/train/cat/1.png", "emoji/test/dog/2.png", "logo.svg", "emoji/logo.svg"]))
    links = list(map(PurePosixPath, ["README.md", "emoji/latest", "emoji/train/cat/notes.txt"]))
    layout = lay_out(paths, links)
    assert list(layout.places.values()) == [Place("dog", "test"), Place("cat", "train")]
    assert not any(layout.label(path) for path in (*paths[2:], *links))


def test_what_systems_leave_and_what_is_no_picture_is_passed_over():
    names = ["cat/.DS_Store", "cat/Thumbs.db", "__MACOSX/cat/._1.png", "cat/desktop.ini", "README.md", "cat/notes.txt"]
    layout = lay_out(map(PurePosixPath, [*names, "cat/1.png"]))
    assert sorted(map(str, layout.passed_over)) == sorted(names)
    assert not layout.refused


def test_pictures_that_are_not_read_are_named_with_what_to_do():
    layout = lay_out(map(PurePosixPath, ["cat/1.HEIC", "cat/2.tiff", "3.png", "cat/4.png"]))
    assert {str(path): reason for path, reason in layout.refused.items()} == {
        "cat/1.HEIC": "HEIC is not read; convert it to PNG or JPEG",
        "cat/2.tiff": "TIFF is not read; convert it to PNG or JPEG",
        "3.png": "it is not in the folder of a class",
    }


@pytest.mark.parametrize(
    ("names", "words"),
    [
        ([], "no pictures"),
        (["cat"], "one class, 'cat'"),
        ([f"class {number}" for number in range(300)], "Found 300 classes; expected at most 256"),
        (["Cat", "dog", "cat"], "'Cat' and 'cat' differ only in capitalisation"),
        (["Cafe\u0301", "Caf\u00e9"], "differ only in capitalisation"),
        (["cat", "d" * 101], "101 characters"),
        (["cat", "dog\nhouse"], "not text"),
        (["cat", "dog\udc80"], "not text"),
    ],
)
def test_classes_that_cannot_be_used_are_refused_in_one_line(names, words):
    with pytest.raises(DataError) as refused:
        check_classes(names)
    assert words in str(refused.value)
    assert "\n" not in str(refused.value)


def test_names_that_are_numbers_are_classes_in_the_order_of_numbers():
    names = [str(number) for number in range(12)]
    check_classes(names)
    assert order_classes(reversed(names)) == tuple(names)


def test_known_classes_keep_their_numbers_and_new_ones_follow():
    assert order_classes({"ape", "cat", "dog"}, known=("dog", "gone", "cat")) == ("dog", "cat", "ape")
