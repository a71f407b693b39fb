"""The classic layout: three hashed banks of wide rows (the specification is ``weightless_sw.spec.classic``)."""
