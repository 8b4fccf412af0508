"""What the names of files and folders say about pictures: one folder a class, perhaps below train and test."""

import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

from fashion.errors import DataError

SPLIT_NAMES: Mapping[str, str] = {
    "train": "train",
    "training": "train",
    "validation": "validation",
    "valid": "validation",
    "val": "validation",
    "dev": "validation",
    "test": "test",
    "testing": "test",
}
"""What people call the splits."""
PASSED_OVER = ("thumbs.db", "desktop.ini", "__macosx", "ehthumbs.db")
"""What systems leave in folders, in small letters; so is everything whose name begins with a dot."""
UNSUPPORTED: Mapping[str, str] = {
    ".heic": "HEIC",
    ".heif": "HEIF",
    ".avif": "AVIF",
    ".tif": "TIFF",
    ".tiff": "TIFF",
    ".svg": "SVG",
    ".raw": "a camera's raw format",
    ".dng": "a camera's raw format",
    ".cr2": "a camera's raw format",
    ".nef": "a camera's raw format",
    ".psd": "Photoshop's format",
}
"""Pictures that are not read, by the end of their names: named apart from what is no picture at all."""
READ = (".png", ".jpg", ".jpeg", ".jpe", ".jfif", ".webp", ".gif", ".bmp", ".dib")
FEWEST_CLASSES, MOST_CLASSES, LONGEST_NAME = 2, 256, 100


@dataclass(frozen=True)
class Place:
    """Where a picture stands."""

    label: str
    """The name of its class."""
    split: str | None


@dataclass(frozen=True)
class Layout:
    """What the names of many files say."""

    places: Mapping[PurePosixPath, Place]
    refused: Mapping[PurePosixPath, str]
    """Files that seem to be pictures and cannot be used, and why."""
    passed_over: tuple[PurePosixPath, ...]
    """Files that are no pictures."""
    depth: int
    """How many folders are around everything."""
    has_splits: bool
    """Whether the folders in these are splits, and the classes are in them."""

    def label(self, path: PurePosixPath) -> str | None:
        """Return the class of what cannot be used and may be a picture or a folder of them; None of anything else."""
        place = _place(_parts(path)[self.depth :], self.has_splits) if _may_hold_pictures(path) else None
        return place.label if place else None


def lay_out(paths: Iterable[PurePosixPath], odd: Iterable[PurePosixPath] = ()) -> Layout:
    """Return what the paths of files, relative to the folder that was named, say.

    A folder is a class, and all pictures below it belong to it. If all folders at the top are named like splits, the
    classes are the folders in them. A single folder around everything, as in many archives, is looked through.

    Args:
        odd: what is neither a file nor a folder that can be read, such as a link: it may stand for a class.

    Raises:
        DataError: folders are named like splits, and seem to be some, beside others that are not; in one line.
    """
    there = sorted(paths)
    known = [path for path in there if not is_leftover(path)]
    refused = {path: reason for path in known if (reason := why_unreadable(path))}
    pictures = [path for path in known if path.suffix.lower() in READ]
    passed_over = [path for path in there if is_leftover(path)]
    passed_over += [path for path in known if path not in refused and path.suffix.lower() not in READ]
    depth = _depth_of_wrapping(pictures, [path for path in (*refused, *odd) if _may_hold_pictures(path)])
    splits = _has_splits([path.parts[depth:] for path in pictures if len(path.parts) > depth + 1])
    places = {}
    for path in pictures:
        if place := _place(path.parts[depth:], splits):
            places[path] = place
        else:
            refused[path] = "it is not in the folder of a class"
    return Layout(places, refused, tuple(passed_over), depth, splits)


def check_classes(names: Iterable[str]) -> None:
    """Check the names of all classes.

    Raises:
        DataError: there are too few or too many, or one cannot be used; in one line.
    """
    classes = sorted(set(names))
    if len(classes) < FEWEST_CLASSES:
        found = f"one class, {classes[0]!r}" if classes else "no pictures"
        raise DataError(f"Found {found}; expected at least {FEWEST_CLASSES} classes, each in a folder of its name")
    if len(classes) > MOST_CLASSES:
        raise DataError(
            f"Found {len(classes)} classes; expected at most {MOST_CLASSES}. Join classes, or leave some out"
        )
    alike: dict[str, str] = {}
    for name in classes:
        if problem := _why_unusable(name):
            raise DataError(f"The class {name!r} {problem}; rename its folder")
        key = unicodedata.normalize("NFC", name).casefold()
        if key in alike:
            raise DataError(
                f"The classes {alike[key]!r} and {name!r} differ only in capitalisation; put their pictures together, "
                "or rename one"
            )
        alike[key] = name


def order_classes(
    names: Iterable[str], known: Sequence[str] = (), given: Sequence[str] | None = None
) -> tuple[str, ...]:
    """Return the classes in their order: known ones as before, so that labels keep their meaning, then new ones.

    Names that are numbers are ordered as numbers.

    Args:
        given: all of them in the order that the source has for them, if it has one, and perhaps others.
    """
    found = set(names)
    kept = [name for name in known if name in found]
    new = found - set(kept)
    return (*kept, *([name for name in given if name in new] if given else sorted(new, key=_natural)))


def is_leftover(path: PurePosixPath) -> bool:
    """Return whether a file is one that systems leave in folders, or is in such a folder."""
    return any(part.startswith(".") or part.lower() in PASSED_OVER for part in path.parts)


def why_unreadable(path: PurePosixPath) -> str | None:
    """Return why a file that its name says is a picture cannot be read; None for any other."""
    kind = UNSUPPORTED.get(path.suffix.lower())
    return f"{kind} is not read; convert it to PNG or JPEG" if kind else None


def _may_hold_pictures(path: PurePosixPath) -> bool:
    """Return whether what cannot be used may be a picture; without an ending, it may be a folder of pictures."""
    return path.suffix.lower() in ("", *READ, *UNSUPPORTED) and not is_leftover(path)


def _parts(path: PurePosixPath) -> tuple[str, ...]:
    """Return the parts of a picture's path; what has no ending stands for a folder with a picture in it."""
    return path.parts if path.suffix else (*path.parts, "")


def _depth_of_wrapping(pictures: Sequence[PurePosixPath], unusable: Sequence[PurePosixPath]) -> int:
    """Return how many folders are around everything; the last two parts of a path are a class and a picture.

    Beside a class of which nothing can be used, the folders of the others are classes, too.
    """
    depth = 0
    parts = [_parts(path) for path in (*pictures, *unusable)]
    while pictures and all(len(path.parts) > depth + 2 for path in pictures):
        folders = {part[depth] for part in parts if len(part) > depth + 1}
        if len(folders) > 1 or pictures[0].parts[depth].lower() in SPLIT_NAMES:
            break
        depth += 1
    return depth


def _has_splits(pictures: Iterable[Sequence[str]]) -> bool:
    """Return whether the folders at the top are splits, by the parts of the paths of pictures in them."""
    below: dict[str, set[str]] = {}
    for parts in pictures:
        below.setdefault(parts[0], set()).update(parts[1:-1][:1])
    named = {top for top in below if top.lower() in SPLIT_NAMES}
    others = sorted(below.keys() - named)
    if others and _seem_splits({top: below[top] for top in named}, set().union(*(below[top] for top in others))):
        raise DataError(
            f"The folder {others[0]!r} is no split, and stands beside {' and '.join(sorted(named))}; move it "
            "elsewhere, or call it train, validation or test. Where all of them are classes, put their pictures right "
            "into them"
        )
    return not others and any(below.values())


def _seem_splits(below: Mapping[str, set[str]], others: set[str]) -> bool:
    """Return whether folders that are named like splits, beside others that are not, can hardly be classes.

    One is for training, and another is for validation or testing, too, or what is not named like a split has folders
    of the same names as they have.

    Args:
        below: the names of the folders in each.
        others: those of the folders in what is not named like a split.
    """
    splits = {SPLIT_NAMES[top.lower()] for top in below}
    inner = set().union(*below.values())
    return "train" in splits and bool(inner) and (len(splits) > 1 or bool(inner & others))


def _place(parts: Sequence[str], has_splits: bool) -> Place | None:
    """Return where a picture stands, by the parts of its path; None if it lies in no folder of a class."""
    if not has_splits:
        return Place(parts[0], None) if len(parts) > 1 else None
    known = len(parts) > 2 and parts[0].lower() in SPLIT_NAMES
    return Place(parts[1], SPLIT_NAMES[parts[0].lower()]) if known else None


def _why_unusable(name: str) -> str | None:
    if len(name) > LONGEST_NAME:
        return f"has a name of {len(name)} characters, more than {LONGEST_NAME}"
    if not name.isprintable():
        return "has characters in its name that are not text"
    return None


def _natural(name: str) -> tuple[int, int, str]:
    return (0, int(name), name) if name.isascii() and name.isdigit() else (1, 0, name.casefold())
