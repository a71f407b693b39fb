"""The decoder of the ribbon layout: a window over a stream of words, and no table."""
