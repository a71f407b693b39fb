"""The golden and the fast decoder: equal to the frozen vectors, and to the scalar functions."""

import numpy as np
import pytest

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
