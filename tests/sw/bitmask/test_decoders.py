"""The golden and the fast decoder: equal to the frozen vectors, and to the scalar functions."""

import numpy as np
import pytest

from weightless_sw import codec, records
from weightless_sw.arrangement import Arrangement
from weightless_sw.bitmask import golden, kernels
from weightless_sw.spec.bitmask import BitmaskGeometry
from weightless_sw.tensor import EncodedTensor


@pytest.mark.parametrize("decoder", [golden, kernels], ids=["golden", "fast"])
def test_vectors_words(bitmask_vectors, decoder):
    for case in bitmask_vectors["layers"]:
        codes, n_codes = np.array(case["codes"]), case["n_codes"]
        geometry = BitmaskGeometry(
            n_weights=len(codes), slot_bits=case["slot_bits"], n_codes=n_codes, seed=0,
            n_nonzero=int(np.count_nonzero(codes >= 0)),
        )  # fmt: skip
        table = np.array(case["words"], np.uint32)
        tensor = EncodedTensor(Arrangement((len(codes),)), geometry, np.ones(n_codes, np.float16), table)
        assert decoder.decode_codes(tensor).tolist() == np.where(codes < 0, n_codes, codes).tolist()


def streamed(tensor, change=lambda words: words):
    """(codes that came with each word, what was wrong in the end) of the payload's words."""
    record = records.to_record(tensor)
    reader = golden.reader(record[:28])
    came = []
    for word in change(tensor.table.tolist()):
        came.append(reader.take(word).tolist())
        if reader.wrong:
            break
    return came, reader.wrong


def test_words_make_codes_known(bitmask_vectors):
    """All of them with the last word; none that needs a word which has not come."""
    for case in bitmask_vectors["layers"]:
        codes, n_codes, t = case["codes"], case["n_codes"], case["slot_bits"]
        geometry = BitmaskGeometry(
            n_weights=len(codes),
            slot_bits=t,
            n_codes=n_codes,
            seed=0,
            n_nonzero=sum(code >= 0 for code in codes),
        )
        tensor = EncodedTensor(
            Arrangement((len(codes),)),
            geometry,
            np.ones(n_codes, np.float16),
            np.array(case["words"], np.uint32),
        )
        came, wrong = streamed(tensor)
        assert not wrong
        assert [code for part in came for code in part] == [n_codes if code < 0 else code for code in codes]
        n_known = 0
        for k, part in enumerate(came):
            n_known += len(part)
            n_set = sum(code >= 0 for code in codes[:n_known])
            assert -(-n_known // 32) + -(-n_set * t // 32) <= k + 1


@pytest.mark.parametrize(
    ("change", "wrong", "n_words"),
    [
        (lambda w: [w[0], 0xD, w[2]], {"ENTRY"}, 2),  # codes 1, 3: the second names nothing
        (lambda w: [w[0], w[1], 0x100], {"PADDING"}, 3),
        (lambda w: [w[0], 0x49, w[2]], {"PADDING"}, 3),
        (lambda w: [w[0], w[1], 0], {"COVER"}, 3),
        (lambda w: [w[0], 0x39, 0], {"COVER", "PADDING"}, 3),
        (lambda w: [0, 0, 5], {"COVER"}, 2),
        (lambda w: [0xFFFFFFFF, 0, 0], {"WORDS"}, 3),  # 64 bits of codes, and a mask, are called for
    ],
)
def test_what_is_wrong_is_said_with_its_word(change, wrong, n_words):
    """Of the example: three words, t = 2, K = 3."""
    weights = np.zeros(40)
    weights[[0, 31, 33]] = [0.5, 2, -1]
    tensor, _ = codec.encode(weights, layout="bitmask", live="off")
    came, found = streamed(tensor, change)
    assert found == wrong
    assert len(came) == n_words


def test_another_word_is_nobodys():
    tensor, _ = codec.encode(np.eye(5), layout="bitmask", live="off")
    reader = golden.reader(records.to_record(tensor)[:28])
    for word in tensor.table.tolist():
        reader.take(word)
    assert not reader.wrong
    assert reader.take(0).size == 0
    assert reader.wrong == {"WORDS"}
