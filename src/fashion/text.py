"""Formatting text for people: shortening, and escaping in Markdown."""

import re
from collections.abc import Mapping, Sequence

LONGEST = 200
"""The most characters of a chain of reasons that are shown where the full chain is given elsewhere."""
SPECIAL = re.compile(r"[\\`*{}\[\]<>#|~&!$]|(?<![A-Za-z0-9])_|_(?![A-Za-z0-9])")
"""Characters that Markdown may interpret. Within a word an underscore is plain text."""


def shorten(reason: str) -> str:
    """Return the first of a chain of reasons (a; b; c), at most `LONGEST` characters, and how many more there are."""
    first, *others = reason.split("; ")
    while others and len(first) + len(others[0]) + 2 <= LONGEST:
        first = f"{first}; {others.pop(0)}"
    return f"{first} (and {len(others)} more)" if others else first


def escape_markdown(text: str) -> str:
    """Return Markdown that shows `text` literally. Source: CommonMark 0.31, section 2.4, backslash escapes."""
    return SPECIAL.sub(lambda found: f"\\{found[0]}", text)


def markdown_table(rows: Sequence[Mapping[str, str]]) -> str:
    """Return a table of at least one row, with the keys of the rows as its header; all cells are text."""
    lines = [list(map(escape_markdown, cells)) for cells in (rows[0], *(row.values() for row in rows))]
    lines.insert(1, ["---"] * len(rows[0]))
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
