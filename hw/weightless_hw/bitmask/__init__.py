"""The bitmask decoder: masks say which weights are not zero, codes follow in order."""
