"""Changing keys of params.yaml, with every comment and the rest of the text kept as it is."""

import json
import pathlib
import re
from collections.abc import Mapping
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.nodes import MappingNode, Node

from fashion.errors import ParamsError
from fashion.params import Params, load_params
from fashion.storage import write_text

Path = tuple[str, ...]
"""The keys from the top to a value."""
REMOVED = object()
"""In place of a value: the key is to be removed."""
PLAIN = re.compile(r"[^\W\d_](?:[\w &/().+-]*[\w).+])?")
"""Text that needs no quotes, wherever it stands."""
RESERVED = ("true", "false", "null", "yes", "no", "on", "off", "y", "n")
"""In YAML 1.1 or 1.2, which read some of them differently."""
STEP = "  "
"""How much deeper than its key a block is."""


def edit(text: str, changes: Mapping[Path, Any], notes: Mapping[Path, str] | None = None) -> str:
    """Return the text of a YAML file with some values changed, added or removed.

    A mapping is written as a block, and so is a list of mappings; everything else on one line. A comment behind a value
    stays; those inside of a block that is replaced go with it.

    Args:
        changes: by path, in order: what is added comes last in its mapping.
        notes: a comment above a key, where that is added.
    """
    for path, value in changes.items():
        text = _remove(text, path) if value is REMOVED else _set(text, path, value, (notes or {}).get(path))
    return text


def _set(text: str, path: Path, value: Any, note: str | None = None) -> str:
    parent = _find(text, path[:-1])
    if parent is None:
        return _set(text, path[:-1], {path[-1]: value})
    found = _children(parent).get(path[-1])
    if _is_flow(parent):
        return _rewrite(text, parent, {**_plain(text, path[:-1]), path[-1]: value})
    indent = " " * parent.value[0][0].start_mark.column
    if found is None:
        at = _line_end(text, _end(parent))
        above = f"\n{indent}# {note}" if note else ""
        return f"{text[:at]}{above}\n{indent}{_on_one_line(path[-1])}:{_format(value, indent)}{text[at:]}"
    key, node = found
    start = text.index(":", key.end_mark.index) + 1
    new = _format(value, indent)
    # What is on several lines takes the comment behind its last one with it.
    several = "\n" in new or "\n" in text[start : _end(node)]
    end = _line_end(text, _end(node)) if several else _end(node)
    return f"{text[:start]}{new}{text[end:]}"


def _remove(text: str, path: Path) -> str:
    parent = _find(text, path[:-1])
    found = _children(parent).get(path[-1]) if parent else None
    if parent is None or found is None:
        return text
    if _is_flow(parent):
        kept = {key: value for key, value in _plain(text, path[:-1]).items() if key != path[-1]}
        return _rewrite(text, parent, kept)
    key, node = found
    start = text.rfind("\n", 0, key.start_mark.index) + 1
    return text[:start] + text[_line_end(text, _end(node)) + 1 :]


def _rewrite(text: str, node: MappingNode, value: Mapping[str, Any]) -> str:
    """Return the text with another value of a mapping in braces."""
    return f"{text[: node.start_mark.index]}{_on_one_line(dict(value))}{text[node.end_mark.index :]}"


def _find(text: str, path: Path) -> MappingNode | None:
    """Return the mapping at a path; None where there is none."""
    node: Any = YAML().compose(text)
    for key in path:
        node = _children(node).get(key, (None, None))[1] if isinstance(node, MappingNode) else None
    return node if isinstance(node, MappingNode) else None


def _children(node: MappingNode) -> dict[str, tuple[Node, Node]]:
    return {key.value: (key, value) for key, value in node.value}


def _plain(text: str, path: Path) -> dict[str, Any]:
    content = YAML(typ="safe").load(text)
    for key in path:
        content = content[key]
    return dict(content)


def _end(node: Node) -> int:
    """Return where the text of a value ends: the parser lets a block end behind the comments that follow."""
    if isinstance(node.value, str) or _is_flow(node) or not node.value:
        return int(node.end_mark.index)
    last = node.value[-1]
    return _end(last[1] if isinstance(last, tuple) else last)


def _is_flow(node: Node) -> bool:
    """Return whether a mapping or a list is written with braces or brackets."""
    return bool(getattr(node, "flow_style", False))


def _line_end(text: str, at: int) -> int:
    end = text.find("\n", at)
    return len(text) if end < 0 else end


def _format(value: Any, indent: str) -> str:
    """Return what stands behind the colon of a key with this indentation."""
    deeper = f"\n{indent}{STEP}"
    if isinstance(value, dict) and value:
        return "".join(f"{deeper}{_on_one_line(key)}: {_on_one_line(one)}" for key, one in value.items())
    if isinstance(value, list) and value and all(isinstance(one, dict) for one in value):
        return "".join(f"{deeper}- {_on_one_line(one)}" for one in value)
    return f" {_on_one_line(value)}"


def _on_one_line(value: Any) -> str:
    """Return a value as YAML; what a reader might take for something else is in quotes."""
    if isinstance(value, dict):
        return f"{{{', '.join(f'{_on_one_line(key)}: {_on_one_line(one)}' for key, one in value.items())}}}"
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(_on_one_line, value))}]"
    if isinstance(value, str) and PLAIN.fullmatch(value) and value.lower() not in RESERVED:
        return value
    # JSON is YAML, too.
    return json.dumps(value, ensure_ascii=False)


def read_as(path: pathlib.Path, text: str) -> Params | None:
    """Return what the params.yaml at `path` would say with this text; None if it could not be read."""
    trial = path.with_name(f".{path.name}.new")
    try:
        write_text(trial, text)
        return load_params(trial)
    except ParamsError:
        return None
    finally:
        trial.unlink(missing_ok=True)
