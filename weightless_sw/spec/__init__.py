"""The specification, a module each for the hash, the record and every layout; standard library only.

The golden models, the fast kernels, the RTL and the cycle models take each constant and each width
from here; the frozen vectors in ``tests/vectors`` hold them together.  The functions are slow and
obvious on purpose: they define the format, others make it fast.
"""
