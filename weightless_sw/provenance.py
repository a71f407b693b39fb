"""Which version and commit of this package a result comes from, and how it was installed."""

import json
import shlex
import subprocess
from importlib import metadata
from pathlib import Path
from urllib.parse import unquote, urlsplit

PACKAGE = Path(__file__).parent
BAKED = PACKAGE / "_commit.txt"  # written as a wheel or an archive of the sources is built
UNKNOWN = "unknown"
DISTRIBUTION = "weightless-decoder"  # the name to install; the shorter one is another author's package


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


def install_line(*extras: str) -> str:
    """What a user types for ``extras`` of this very installation: an editable one knows its folder."""
    source = f"{_editable_folder() or DISTRIBUTION}[{','.join(extras)}]"
    return f"python -m pip install {'-e ' if _editable_folder() else ''}{shlex.quote(source)}"


def _editable_folder() -> str:
    """Where the sources of an editable installation lie; empty for every other."""
    try:
        text = metadata.distribution(DISTRIBUTION).read_text("direct_url.json")
        origin = json.loads(text or "{}")
    except (metadata.PackageNotFoundError, ValueError):
        return ""
    if not origin.get("dir_info", {}).get("editable"):
        return ""
    return unquote(urlsplit(origin["url"]).path)


def _git(*arguments: str) -> str:
    """What git says in the package's folder; empty where it fails or is not there."""
    try:
        run = subprocess.run(
            ["git", "-C", str(PACKAGE), *arguments], capture_output=True, text=True, check=False
        )
    except OSError:
        return ""
    return run.stdout.strip() if not run.returncode else ""
