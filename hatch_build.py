"""Bakes the commit into wheels and archives of the sources, for reports that are made where there is no git."""

import os
import subprocess
import tempfile
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

BAKED = "weightless_sw/_commit.txt"


class CommitHook(BuildHookInterface):  # type: ignore[type-arg]
    """Adds the file where git knows the commit; an archive of the sources has it already."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Called before a build."""
        root = Path(self.root)
        if version == "editable" or (root / BAKED).exists() or not (root / ".git").exists():
            return
        command = ["git", "-C", self.root, "describe", "--always", "--dirty", "--exclude=*"]
        try:
            run = subprocess.run(command, capture_output=True, text=True, check=True)
        except (OSError, subprocess.CalledProcessError):
            return
        handle, self.path = tempfile.mkstemp()
        with os.fdopen(handle, "w") as file:
            file.write(run.stdout)
        build_data["force_include"][self.path] = BAKED

    def finalize(self, version: str, build_data: dict[str, Any], artifact_path: str) -> None:
        """Called after a build."""
        if path := getattr(self, "path", ""):
            os.unlink(path)
