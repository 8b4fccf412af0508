"""Inputs for readers: a good or a known bad file with a few changes, or any bytes at all."""

from collections.abc import Sequence

from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

Edit = tuple[int, int, bytes]
"""Where, how many bytes go, and what comes in their place."""


def inputs_like(seeds: Sequence[bytes], tokens: Sequence[bytes]) -> SearchStrategy[bytes]:
    """Mostly changed seeds, some pairs of seeds joined, some bytes without any form."""
    piece = st.one_of(st.sampled_from([b"", *tokens]), st.binary(max_size=8))
    edit = st.tuples(st.integers(0, 1 << 16), st.sampled_from([0, 0, 1, 1, 2, 4, 8, 100, 1 << 20]), piece)
    changed = st.builds(_change, st.sampled_from(seeds), st.lists(edit, min_size=1, max_size=6))
    joined = st.builds(_join, st.sampled_from(seeds), st.sampled_from(seeds), st.floats(0, 1), st.floats(0, 1))
    return st.one_of(changed, changed, changed, joined, st.binary(max_size=300))


def _change(content: bytes, edits: list[Edit]) -> bytes:
    for position, length, piece in edits:
        start = position % (len(content) + 1)
        content = content[:start] + piece + content[start + length :]
    return content


def _join(first: bytes, second: bytes, head: float, tail: float) -> bytes:
    return first[: int(head * len(first))] + second[int(tail * len(second)) :]
