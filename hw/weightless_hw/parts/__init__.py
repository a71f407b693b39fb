"""Components that decoders of all layouts share.

Terms.  A *beat* is one transfer of ``lanes`` weights.  A pipeline is *held* while the code stage behind it is
not ready: its parts know no stall, each stands under an ``EnableInserter``.  Parts with a memory take the
enable as a port instead, for the read side only: a write enable that waits for it, too, costs 140 LUT4 at
8 lanes, and nothing is written while a beat waits.  Registers that a reset need not clear, since nobody looks at
them before they are written, have none (``reset_less``): on an ASIC it is a gate each.
Ports are described as ``amaranth.lib`` does it: name, shape, direction, meaning.
"""
