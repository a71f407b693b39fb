from hypothesis import given
from hypothesis import strategies as st

from weightless_sw.spec.hash import hash_words, rotate_left, shift_left

words = st.integers(0, 2**32 - 1)


def test_vectors_hash(vectors):
    for case in vectors["hash"]:
        assert list(hash_words(case["index"], case["seed"], case["domain"], case["rounds"])) == case["words"]


@given(words, st.integers(1, 31))
def test_words_keep_their_width(word, k):
    assert rotate_left(rotate_left(word, k), 32 - k) == word
    assert shift_left(word, k) == word * 2**k % 2**32


@given(words, words)
def test_a_round_loses_nothing(index, other):
    """The rounds permute the state, so that two indices never share all three words."""
    if index != other:
        assert hash_words(index, 1, 2, 6) != hash_words(other, 1, 2, 6)
