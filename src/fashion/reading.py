"""Reading files that may be missing, damaged or huge."""

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.events import AliasEvent, CollectionEndEvent, CollectionStartEvent, Event, ScalarEvent

from fashion.errors import ArtifactError, FashionError

DAMAGE = (OSError, ValueError, LookupError, TypeError, AttributeError, EOFError, BadZipFile)
"""What readers of JSON, CSV, Parquet and NumPy files raise for unexpected content."""

LARGEST_ARTIFACT_BYTES = 16 << 20
"""The most bytes of a JSON file written by a stage; parsed, it may take twenty times as much memory."""

LONGEST_SCALAR = 1000
"""Characters of one key or value of a YAML file; a number of thousands of digits cannot even be printed."""
DEEPEST = 50
"""Levels of nesting of a YAML file."""
LEADING_ZERO = re.compile(r"[-+]?0[0-9_]+")
"""Octal in YAML 1.1, decimal in YAML 1.2."""


@contextmanager
def translate_damage(path: Path, remedy: str, error_type: type[FashionError] = ArtifactError) -> Iterator[None]:
    """Turn errors while the block reads `path` into one that says what to do.

    Args:
        remedy: for example `make it with: dvc repro train`.

    Raises:
        FashionError: of type `error_type`; the file is missing or damaged.
    """
    try:
        yield
    except FileNotFoundError as error:
        raise error_type(f"{path} is missing; {remedy}") from error
    except DAMAGE as error:
        raise error_type(f"{path} is damaged ({error}); {remedy}") from error


def read_text(path: Path, most_bytes: int) -> str:
    """Read the text of a regular file in UTF-8; nothing else is opened, since a pipe or a device may never end.

    Raises:
        FileNotFoundError: it does not exist.
        ValueError: it is not a regular file, cannot be read, has more than `most_bytes`, or is not UTF-8.
    """
    if path.exists() and not path.is_file():
        raise ValueError(f"expected a file, found {'a folder' if path.is_dir() else 'a pipe or a device'}")
    try:
        with path.open("rb") as file:
            content = file.read(most_bytes + 1)
    except FileNotFoundError:
        raise
    except OSError as error:
        raise ValueError(error.strerror or str(error)) from error
    if len(content) > most_bytes:
        raise ValueError(f"it has more than {most_bytes:,} bytes")
    return content.decode("utf-8")


def load_json(path: Path, most_bytes: int) -> Any:
    """Read a file of strict JSON, without NaN and Infinity.

    Raises:
        FileNotFoundError: it does not exist.
        ValueError: as `read_text`; or it is not JSON, or nested too deeply.
    """
    try:
        return json.loads(read_text(path, most_bytes), parse_constant=_refuse_constant)
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error


def read_json(path: Path, made_by: str) -> Any:
    """Read the JSON content of an artifact; `made_by` is the command that makes it.

    Raises:
        ArtifactError: the file is missing or damaged.
    """
    with translate_damage(path, f"make it with: {made_by}"):
        return load_json(path, LARGEST_ARTIFACT_BYTES)


def load_yaml(path: Path, most_bytes: int) -> Any:
    """Read a YAML file as DVC does (YAML 1.2, with ruamel.yaml), so that both see the same values.

    Anything that hides a value (duplicate keys, aliases) is refused, and numbers that YAML 1.1 reads differently.

    Raises:
        FileNotFoundError: it does not exist.
        ValueError: as `read_text`; or it is not YAML, or something in it is refused.
    """
    text = read_text(path, most_bytes)
    try:
        _check_yaml(text)
        return YAML(typ="safe").load(text)
    except (YAMLError, TypeError, LookupError, AttributeError, OverflowError) as error:
        # For a value that does not match its tag, the library raises whatever its conversion raises.
        raise ValueError(_in_one_line(error)) from error


def _check_yaml(text: str) -> None:
    """Check the file's events before anything is built from them. Raises ValueError like `load_yaml`."""
    depth = 0
    for event in YAML(typ="safe").parse(text):
        depth += isinstance(event, CollectionStartEvent) - isinstance(event, CollectionEndEvent)
        if problem := "it is nested too deeply" if depth > DEEPEST else _problem(event):
            raise ValueError(f"{problem}, in line {event.start_mark.line + 1}")


def _problem(event: Event) -> str | None:
    """Return why a part of a YAML file is refused, if it is."""
    if isinstance(event, AliasEvent):
        return "aliases are not allowed"
    if isinstance(event, ScalarEvent) and len(event.value) > LONGEST_SCALAR:
        return f"more than {LONGEST_SCALAR:,} characters in one key or value"
    # A plain scalar, not one in quotes.
    if isinstance(event, ScalarEvent) and event.implicit[0] and LEADING_ZERO.fullmatch(event.value):
        return (
            f"{event.value} is octal in YAML 1.1 and decimal in YAML 1.2; write the number without the leading zero, "
            "or put it in quotes"
        )
    return None


def _in_one_line(error: Exception) -> str:
    if isinstance(error, MarkedYAMLError) and error.problem_mark:
        words = ", ".join(filter(None, (error.context, error.problem)))
        return f"{words}, in line {error.problem_mark.line + 1}"
    return " ".join(str(error).split())


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not valid JSON")
