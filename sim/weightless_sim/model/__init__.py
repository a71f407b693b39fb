"""Models of a decoder: its cycles and events, its area and frequency."""
