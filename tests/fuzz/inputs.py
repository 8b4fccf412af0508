"""Inputs for readers: a good or a known bad file with a few changes, or any bytes at all."""

import copy
import json
from collections.abc import Iterator, Sequence
from typing import Any

from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

Edit = tuple[int, int, bytes]
"""Where, how many bytes go, and what comes in their place."""


def inputs_like(seeds: Sequence[bytes], tokens: Sequence[bytes], trees: Sequence[Any]) -> SearchStrategy[bytes]:
    """Changed seeds, some pairs of seeds joined, some bytes without any form; half are changed trees, if there are any.

    Bytes that were changed are rarely JSON any more; a tree with another value in one place is, and gets farther.
    """
    piece = st.one_of(st.sampled_from([b"", *tokens]), st.binary(max_size=8))
    edit = st.tuples(st.integers(0, 1 << 16), st.sampled_from([0, 0, 1, 1, 2, 4, 8, 100, 1 << 20]), piece)
    changed = st.builds(_change, st.sampled_from(seeds), st.lists(edit, min_size=1, max_size=6))
    joined = st.builds(_join, st.sampled_from(seeds), st.sampled_from(seeds), st.floats(0, 1), st.floats(0, 1))
    formless = st.one_of(changed, changed, changed, joined, st.binary(max_size=300))
    if not trees:
        return formless
    replaced = st.builds(_replace, st.sampled_from(trees), st.integers(0, 1 << 16), _values())
    return st.one_of(replaced.map(lambda tree: json.dumps(tree).encode()), formless)


def _values() -> SearchStrategy[Any]:
    numbers = st.one_of(st.integers(), st.floats(), st.sampled_from([0, -1, 1e308, 10**400, 2**63]))
    words = st.sampled_from(["label", "hash", "$PARAMETER", "2020-01-01", ".*", "\ud800", "\0", ""])
    leaves = st.one_of(st.none(), st.booleans(), numbers, words, st.text(max_size=8))
    return st.recursive(
        leaves, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(words, inner, max_size=3), max_leaves=6
    )


def _replace(tree: Any, position: int, value: Any) -> Any:
    """The tree with `value` in the place of one of its nodes."""
    tree = copy.deepcopy(tree)
    places = list(_places(tree))
    parent, key = places[position % len(places)]
    parent[key] = value
    return tree


def _places(tree: Any) -> Iterator[tuple[Any, Any]]:
    children = tree.items() if isinstance(tree, dict) else enumerate(tree) if isinstance(tree, list) else ()
    for key, child in children:
        yield tree, key
        yield from _places(child)


def _change(content: bytes, edits: list[Edit]) -> bytes:
    for position, length, piece in edits:
        start = position % (len(content) + 1)
        content = content[:start] + piece + content[start + length :]
    return content


def _join(first: bytes, second: bytes, head: float, tail: float) -> bytes:
    return first[: int(head * len(first))] + second[int(tail * len(second)) :]
