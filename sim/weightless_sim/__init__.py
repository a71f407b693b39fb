"""Weightless simulation: cycle model, cocotb benches, area, report and command line."""
