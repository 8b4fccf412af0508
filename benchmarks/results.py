"""What every benchmark leaves beside its module: figures as JSON, and the tables that the documents quote."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from fashion.storage import write_json, write_text

ROOT = Path(__file__).resolve().parent.parent


def save(module: str, figures: Any, page: str) -> None:
    """Write MODULE.json and MODULE.md for the module at the path `module`, and print the page."""
    write_json(Path(module).with_suffix(".json"), figures)
    write_text(Path(module).with_suffix(".md"), page)
    print(page)


def table(heads: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    """Return a Markdown table; heads and cells are Markdown already."""
    heads = list(heads)
    head, *lines = (f"| {' | '.join(line)} |" for line in (heads, *rows))
    return "\n".join([head, "|---" * len(heads) + "|", *lines])


def paragraphs(*parts: str) -> str:
    """Return a page of these parts with an empty line between each two."""
    return "\n\n".join(parts) + "\n"
