"""The coded record: exact and entropy-coded (the specification is ``weightless_sw.spec.coded``)."""
