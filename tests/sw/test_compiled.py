from weightless_sw import compiled
from weightless_sw.classic import kernels as classic
from weightless_sw.coded import kernels as coded


def test_compiled_code_is_kept_apart_by_specification():
    """A cache that outlived a change of the specification would silently decode by the old rules."""
    for kernel in (classic._address_words, classic.peel, classic.fill_codes, coded.code_matrix):
        assert f"{compiled.SPECIFICATION_CRC:08x}" in kernel._cache.cache_path


def test_every_module_of_the_specification_counts():
    assert {"classic.py", "coded.py", "hash.py", "record.py"} <= {p.name for p in compiled.SPECIFICATION}
