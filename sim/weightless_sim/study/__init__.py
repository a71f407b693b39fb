"""The main job of ``weightless sim``: measure everything about one model."""
