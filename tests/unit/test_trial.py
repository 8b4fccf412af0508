import numpy as np
import pandas as pd
import pytest

from fashion.images.mix import Mix
from fashion.loop.trial import Left, choose
from fashion.params import CollectParams

MIX = Mix(np.arange(2), np.array([0.5, 0.5]), 0.02)


def chosen(keys, labels, share=0.5, known=2, at_least=2, mix=MIX):
    """Which labels, a letter a key and a digit a class, are in the batch, and what is left."""
    rows = pd.DataFrame({"key": list(keys), "label": [int(label) for label in labels]})
    params = CollectParams(at_least=at_least, at_most=1000, at_most_from_one_source=share)
    taken, left = choose(params, rows, mix, known)
    return "".join(taken["key"] + taken["label"].astype("str")), left


def test_what_keeps_to_mix_and_shares_is_taken_whole():
    assert chosen("aabb", "0101") == ("a0a1b0b1", Left(0, {}))


def test_of_a_key_and_of_a_class_that_come_too_often_the_newest_are_taken():
    taken, left = chosen("aaaaaabb", "01010101")
    assert (taken, left) == ("a0a1b0b1", Left(0, {"a": 4}))
    taken, left = chosen("abababab", "00000011")
    assert (taken, left) == ("a0b0a1b1", Left(4, {}))


def test_what_is_left_out_for_the_mix_is_made_up_for_in_the_shares():
    """b gave only the class that comes too often; where older ones of a are left out for that, b has given too much."""
    taken, left = chosen("a" * 20 + "b" * 20, "01" * 10 + "0" * 20)
    assert 0 < taken.count("a") == taken.count("b")
    assert left.too_often
    assert left.beyond["b"]
    assert len(taken) // 2 + left.too_often + sum(left.beyond.values()) == 40


def test_too_few_within_the_shares_wait_as_they_are():
    assert chosen("aaab", "0000", at_least=10) == ("a0b0", Left(0, {"a": 2}))


@pytest.mark.parametrize(("share", "known"), [(1, 2), (0.5, 1)])
def test_where_no_share_is_set_or_there_is_one_key_the_mix_alone_decides(share, known):
    assert chosen("aaaa", "0011", share=share, known=known) == ("a0a0a1a1", Left(0, {}))
