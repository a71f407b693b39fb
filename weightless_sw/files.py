"""Writing files so that nothing is lost: whole or not at all."""

import errno
import fcntl
import os
import secrets
import stat
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

REMEDIES = {  # of what the system says of a file
    errno.ENOSPC: "free some space, or write elsewhere",
    errno.EDQUOT: "free some space, or write elsewhere",
    errno.EROFS: "choose a place that can be written to",
    errno.EACCES: "choose a place that you may use, or change its permissions",
    errno.EPERM: "choose a place that you may use, or change its permissions",
    errno.ENOENT: "check the name",
    errno.EISDIR: "name a file",
    errno.ENAMETOOLONG: "choose a shorter name",
}


def describe(error: OSError) -> str:
    """What went wrong with which file, and what to do, in one line."""
    if error.errno is None or error.strerror is None:
        return str(error)
    where = f"{os.fsdecode(error.filename)}: " if error.filename is not None else ""
    remedy = REMEDIES.get(error.errno)
    return f"{where}{error.strerror}{f'; {remedy}' if remedy else ''}"


def is_special(path: str | os.PathLike[str]) -> bool:
    """Whether ``path`` is there and neither a file nor a folder: a device or a pipe."""
    with suppress(OSError):
        mode = os.stat(path).st_mode
        return not stat.S_ISREG(mode) and not stat.S_ISDIR(mode)
    return False


def check_output(path: str | os.PathLike[str], inputs: Iterable[str | os.PathLike[str]] = ()) -> None:
    """Raise before any work what :func:`write_atomically` would raise after it (an OSError), and a ValueError where
    ``path`` is one of ``inputs``, or ``-``."""
    if os.fspath(path) == "-":
        raise ValueError("-: results are not written to standard output; name a file, or /dev/stdout")
    for one in inputs:
        with suppress(OSError):
            if os.path.samefile(one, path) and not is_special(path):
                raise ValueError(f"{path} is the input, which would be lost; name another file")
    if is_special(path):
        return
    target = _target(path)
    if not os.access(target.parent, os.W_OK | os.X_OK):
        raise PermissionError(errno.EACCES, "no file can be made in its folder", str(path))


@contextmanager
def locked(path: Path, waiting: Callable[[], None] | None = None) -> Iterator[None]:
    """Hold the file ``path`` so that no other process of this machine does; ``waiting`` is told when one is ahead.

    The system lets go of it when a process ends, killed or not.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if waiting:
                waiting()
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


def write_atomically(path: str | os.PathLike[str], data: bytes) -> None:
    """``data`` under ``path``, or, on any failure (an OSError that names it), the old file untouched.

    A link is followed, an old file's mode kept; devices and pipes are written to.
    """
    try:
        if is_special(path):
            Path(path).write_bytes(data)
        else:
            _replace(_target(path), data)
    except OSError as error:
        if error.strerror is None:
            raise
        raise OSError(error.errno, error.strerror, os.fspath(path)) from error


def _target(path: str | os.PathLike[str]) -> Path:
    """The file behind all links; its folder is there, and it is none itself."""
    target = Path(os.path.realpath(path))
    if not target.parent.is_dir():
        raise FileNotFoundError(errno.ENOENT, f"there is no folder {target.parent}", os.fspath(path))
    if target.is_dir():
        raise IsADirectoryError(errno.EISDIR, "is a folder", os.fspath(path))
    return target


def _replace(target: Path, data: bytes) -> None:
    temporary = target.parent / f".weightless-{secrets.token_hex(8)}"
    try:
        # Made by the system with the umask in force: asking for the umask would change it for a moment.
        handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)
        with os.fdopen(handle, "wb") as file:
            file.write(data)
        if target.exists():
            os.chmod(temporary, stat.S_IMODE(target.stat().st_mode))
        os.replace(temporary, target)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
