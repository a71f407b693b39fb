"""The design space of a model's tables: points, each encoded and counted, wherever there is a processor."""
