"""The bitmask layout in software: encoder, golden decoder, fast kernels."""
