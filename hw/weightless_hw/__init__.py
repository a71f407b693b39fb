"""Weightless hardware: the decoder's configuration, its Amaranth description and its Verilog."""
