"""The sub-commands of ``weightless``, a file per group."""
