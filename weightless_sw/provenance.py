"""Which version and commit of this package a result comes from."""

import subprocess
from pathlib import Path

PACKAGE = Path(__file__).parent
BAKED = PACKAGE / "_commit.txt"  # written as a wheel or an archive of the sources is built
UNKNOWN = "unknown"


def version() -> str:
    """The package's."""
    from weightless_sw import __version__

    return __version__


def commit() -> str:
    """That of the tree that the package lies in, where git tracks it there; else that of the build; else "unknown".

    Never that of the folder that the user stands in.
    """
    if _git("ls-files", "--error-unmatch", Path(__file__).name):
        return _git("describe", "--always", "--dirty", "--exclude=*") or UNKNOWN
    return BAKED.read_text().strip() if BAKED.exists() else UNKNOWN


def _git(*arguments: str) -> str:
    """What git says in the package's folder; empty where it fails or is not there."""
    try:
        run = subprocess.run(
            ["git", "-C", str(PACKAGE), *arguments], capture_output=True, text=True, check=False
        )
    except OSError:
        return ""
    return run.stdout.strip() if not run.returncode else ""
