"""The ribbon layout in software: encoder, golden decoder, fast kernels."""
