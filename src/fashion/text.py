"""Text as people are shown it: shortened, and inside Markdown."""

import re
from collections.abc import Mapping, Sequence

LONGEST = 200
"""Characters of a chain of reasons that are shown where the whole chain stands elsewhere."""
SPECIAL = re.compile(r"[\\`*{}\[\]<>#|~&!$]|(?<![A-Za-z0-9])_|_(?![A-Za-z0-9])")
"""What Markdown may take for more than text. Within a word an underscore is one."""


def shorten(reason: str, longest: int = LONGEST) -> str:
    """Return the first of a chain of reasons (a; b; c), at most `longest` characters, and how many more there are."""
    first, *others = reason.split("; ")
    while others and len(first) + len(others[0]) + 2 <= longest:
        first = f"{first}; {others.pop(0)}"
    return f"{first} (and {len(others)} more)" if others else first


def escape_markdown(text: str) -> str:
    """Return the Markdown that shows `text` as it is. Source: CommonMark 0.31, section 2.4, backslash escapes."""
    return SPECIAL.sub(lambda found: f"\\{found[0]}", text)


def markdown_table(rows: Sequence[Mapping[str, str]]) -> str:
    """Return a table with the keys of the rows, of which there is at least one, as its head; all cells are text."""
    lines = [list(map(escape_markdown, cells)) for cells in (rows[0], *(row.values() for row in rows))]
    lines.insert(1, ["---"] * len(rows[0]))
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
