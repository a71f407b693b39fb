"""What leaves this project: Verilog."""
