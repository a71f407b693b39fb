"""Models of a decoder: its cycles, its area."""
