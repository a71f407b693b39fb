import os
import stat
import threading

import pytest

from weightless_sw import files
from weightless_sw.files import check_output, describe, is_special, write_atomically


def test_writes_and_replaces(tmp_path):
    path = tmp_path / "file"
    write_atomically(path, b"one")
    write_atomically(path, b"two")
    assert path.read_bytes() == b"two"
    assert [p.name for p in tmp_path.iterdir()] == ["file"]


def test_mode_follows_the_umask(tmp_path):
    umask = os.umask(0o027)
    try:
        write_atomically(tmp_path / "file", b"")
    finally:
        os.umask(umask)
    assert (tmp_path / "file").stat().st_mode & 0o777 == 0o640


def test_the_mode_of_an_old_file_is_kept(tmp_path):
    (tmp_path / "file").touch(mode=0o600)
    write_atomically(tmp_path / "file", b"new")
    assert (tmp_path / "file").stat().st_mode & 0o777 == 0o600


def test_the_umask_is_not_touched(tmp_path, monkeypatch):
    """Not for a moment: other threads make files meanwhile."""
    monkeypatch.setattr(files.os, "umask", lambda _: pytest.fail("the umask was changed"))
    write_atomically(tmp_path / "file", b"")


def test_links_are_followed(tmp_path):
    (tmp_path / "real").write_bytes(b"old")
    (tmp_path / "link").symlink_to("real")
    (tmp_path / "dangling").symlink_to("new")
    write_atomically(tmp_path / "link", b"data")
    write_atomically(tmp_path / "dangling", b"data")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "real").read_bytes() == (tmp_path / "new").read_bytes() == b"data"


def test_pipes_and_devices_are_written_to(tmp_path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    found = []
    reader = threading.Thread(target=lambda: found.append(pipe.read_bytes()))
    reader.start()
    write_atomically(pipe, b"data")
    reader.join()
    assert found == [b"data"]
    assert is_special(pipe)
    write_atomically("/dev/null", b"data")
    assert stat.S_ISCHR(os.stat("/dev/null").st_mode)


def test_outputs_are_checked_before_the_work(tmp_path):
    path = tmp_path / "in.npz"
    path.touch()
    (tmp_path / "link.npz").symlink_to(path)
    check_output(tmp_path / "new", [path])
    check_output("/dev/null", ["/dev/null"])
    for output in (path, tmp_path / "link.npz", tmp_path / "." / "in.npz"):
        with pytest.raises(ValueError, match="is the input, which would be lost"):
            check_output(output, ["nothing", path])
    with pytest.raises(ValueError, match="not written to standard output"):
        check_output("-")
    with pytest.raises(IsADirectoryError):
        check_output(tmp_path)
    with pytest.raises(FileNotFoundError, match="there is no folder"):
        check_output(tmp_path / "none" / "x")


def test_a_folder_that_is_not_ours_is_found_early(tmp_path, monkeypatch):
    monkeypatch.setattr(files.os, "access", lambda *_: False)
    with pytest.raises(PermissionError) as found:
        check_output(tmp_path / "x")
    assert describe(found.value) == (
        f"{tmp_path / 'x'}: no file can be made in its folder; choose a place that you may use, "
        "or change its permissions"
    )


def test_a_full_disk_is_said_with_the_file_and_the_remedy(tmp_path):
    with pytest.raises(OSError) as found:  # noqa: PT011 -- what it says is asked below
        write_atomically("/dev/full", b"x" * 100_000)
    assert describe(found.value) == "/dev/full: No space left on device; free some space, or write elsewhere"


@pytest.mark.parametrize("step", ["replace"])
def test_a_failure_leaves_the_old_file(tmp_path, monkeypatch, step):
    path = tmp_path / "file"
    write_atomically(path, b"old")
    monkeypatch.setattr(files.os, step, lambda *_: (_ for _ in ()).throw(OSError("disk full")))
    with pytest.raises(OSError, match="disk full"):
        write_atomically(path, b"new")
    assert path.read_bytes() == b"old"
    assert len(list(tmp_path.iterdir())) == 1


def test_folders_are_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="there is no folder"):
        write_atomically(tmp_path / "none" / "file", b"")
    with pytest.raises(IsADirectoryError, match="is a folder"):
        write_atomically(tmp_path, b"")
