"""Weightless hardware: decoders' configurations, their Amaranth descriptions, and what is exported of them."""
