"""Decoders on FPGAs: what they take, and how fast they run there."""
