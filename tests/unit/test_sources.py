import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fashion.images.sources import within_shares


def taken(text, known=0, share=0.5, most=1000):
    """Which of the labels, a letter a source, are in the batch."""
    chosen = within_shares(np.array(list(text), dtype=np.str_), known, share, most)
    return "".join(letter if kept else "." for letter, kept in zip(text, chosen, strict=True))


def test_a_single_source_may_give_everything_and_of_too_many_labels_the_newest_are_taken():
    assert taken("aaaa") == "aaaa"
    assert taken("aaaa", known=1, most=3) == ".aaa"
    assert taken("") == ""


def test_of_two_sources_none_gives_more_than_half_and_its_newest_labels_are_taken():
    assert taken("aaaabab") == "...abab"
    assert taken("abbbbbb") == "a.....b"


def test_a_source_among_several_gives_nothing_while_the_others_are_silent():
    assert taken("aaaa", known=2) == "...."


def test_with_too_few_sources_for_the_share_each_gives_an_equal_part():
    assert taken("aabb", share=0.1) == "aabb"
    assert taken("aaabb", share=0.1) == ".aabb"
    assert taken("abcabcc", share=0.2) == "ab.abcc"


def test_a_share_of_one_is_no_limit():
    assert taken("aaaaab", share=1) == "aaaaab"


def test_no_source_exceeds_its_share_of_a_batch_that_is_cut_to_the_most():
    assert taken("bbbbaaaa", most=4) == "..bb..aa"


@given(st.text("abcd", max_size=60), st.floats(0.01, 1), st.integers(1, 70))
def test_no_source_exceeds_its_share_and_the_batch_is_as_large_as_that_allows(text, share, most):
    chosen = taken(text, share=share, most=most).replace(".", "")
    share = max(share, 1 / max(len(set(text)), 1))
    assert len(chosen) <= most
    assert all(chosen.count(name) <= share * len(chosen) + 1e-6 for name in set(chosen))
    larger = range(len(chosen) + 1, min(len(text), most) + 1)
    assert not any(sum(min(text.count(name), int(share * n)) for name in set(text)) >= n for n in larger)


@pytest.mark.parametrize("sources", [3, 7, 49])
def test_equal_parts_of_any_number_of_sources_are_whole(sources):
    names = np.array([str(number) for number in range(sources)] * 3)
    assert within_shares(names, sources, 0.0, 1000).all()
