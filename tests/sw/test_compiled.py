import os
import shutil
import signal
import subprocess
import sys
import threading
import time

import pytest

from weightless_sw import compiled, inputs
from weightless_sw.classic import kernels as classic
from weightless_sw.coded import kernels as coded


def test_compiled_code_is_kept_apart_by_specification():
    """A cache that outlived a change of the specification would silently decode by the old rules."""
    for kernel in (classic._address_words, classic.peel, classic.fill_codes, coded.code_matrix):
        assert f"{compiled.SPECIFICATION_CRC:08x}" in kernel._cache.cache_path


def test_every_module_of_the_specification_counts():
    assert {"classic.py", "coded.py", "hash.py", "record.py"} <= {p.name for p in compiled.SPECIFICATION}


def test_a_kernel_runs_in_chunks_on_many_threads():
    """Results in order; an error of one is raised, and ends the rest."""
    assert compiled.run_all(lambda a, b: a * b, [(k, 2) for k in range(100)]) == [2 * k for k in range(100)]
    assert compiled.run_all(print, []) == []
    names = set(
        compiled.run_all(lambda _: (time.sleep(0.01), threading.current_thread().name)[1], [(0,)] * 8, 4)
    )
    assert 1 < len(names) <= 4
    done = []

    def fail(k):
        done.append(k)
        raise ValueError(f"chunk {k}")

    with pytest.raises(ValueError, match="chunk 0"):
        compiled.run_all(fail, [(k,) for k in range(100)], 1)
    assert done == [0]


def test_an_interrupt_ends_the_wait():
    """The main thread waits where Python looks for signals, whatever the kernel does."""
    started = threading.Event()

    def kernel(seconds):
        started.set()
        time.sleep(seconds)

    def interrupt():
        started.wait()
        os.kill(os.getpid(), signal.SIGINT)

    threading.Thread(target=interrupt).start()
    begin = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        compiled.run(kernel, 60)
    assert time.monotonic() - begin < 50  # not the kernel's minute


FORKS = """
import os
import numpy as np
from weightless_sw import codec
weights = np.where(np.random.default_rng(1).random((300, 784)) < 0.04, np.float32(0.5), np.float32(0))
tensor, _ = codec.encode(weights)
whole = codec.decode(tensor)
child = os.fork()
if not child:
    os._exit(0 if np.array_equal(codec.decode(tensor), whole) else 1)
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""


def test_a_forked_child_decodes_after_its_parent():
    """numba's OpenMP layer kills it; threads of our own are made for each call."""
    run = subprocess.run([sys.executable, "-c", FORKS], capture_output=True, text=True, check=False)
    assert (run.returncode, run.stdout) == (0, "0\n"), run.stderr


@pytest.mark.parametrize("delay", [0, 0.1, 0.3, 0.6, 1.2])
def test_an_interrupted_command_is_130_and_one_line(tmp_path, sparse_layer, delay):
    """Compiling, or inside a kernel."""
    inputs.save_tensors(tmp_path / "x.npz", {"w": sparse_layer((2000, 3000), 1_000_000)})
    command = [
        sys.executable,
        "-m",
        "weightless_sim",
        "encode",
        str(tmp_path / "x.npz"),
        "-o",
        str(tmp_path / "x.wls"),
    ]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stderr
    assert process.stderr.readline() == "encode w\n"
    time.sleep(delay)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=120)
    if not (tmp_path / "x.wls").exists():  # else it was done before
        assert err == "weightless: interrupted\n"
        # Python itself ends by the signal where it came in an exec() of an import; a shell calls both 130.
        assert process.returncode in (130, -signal.SIGINT)
    assert not list(tmp_path.glob(".weightless-*"))


def test_compiled_code_goes_where_it_may(tmp_path, monkeypatch):
    """Beside the package, in the user's cache, or nowhere: never an error."""
    monkeypatch.setattr(compiled, "__file__", str(tmp_path / "package" / "compiled.py"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    (tmp_path / "package").mkdir()
    assert compiled._cache_folder().is_relative_to(tmp_path / "package" / "__pycache__")
    (tmp_path / "package" / "__pycache__").rename(tmp_path / "old")
    (tmp_path / "package" / "__pycache__").touch()  # as good as read-only, for root, too
    assert compiled._cache_folder().is_relative_to(tmp_path / "cache" / "weightless")
    monkeypatch.setenv("XDG_CACHE_HOME", "/dev/null")
    assert compiled._cache_folder() is None
    monkeypatch.setattr(compiled, "CACHE", None)
    assert compiled.jit(lambda a: a + 1)(1) == 2


READ_ONLY = """
import pathlib, shutil, subprocess, sys, weightless_sw
home = pathlib.Path(sys.argv[1])
shutil.copytree(pathlib.Path(weightless_sw.__file__).parent, home / "weightless_sw")
subprocess.run(["chmod", "-R", "a-w,a+rX", home], check=True)
"""


def test_an_unprivileged_user_of_a_read_only_package(tmp_path, need):
    """The whole way: imported, compiled and used where nothing can be written."""
    need(
        ""
        if os.geteuid()
        else ""
        if shutil.which("setpriv")
        else "setpriv is not installed: apt-get install util-linux"
    )
    home = tmp_path / "package"
    home.mkdir()
    subprocess.run([sys.executable, "-c", READ_ONLY, str(home)], check=True)
    program = f"import sys; sys.path.insert(0, {str(home)!r}); import numpy, weightless_sw as w; "
    program += "print(w.__file__, w.decode(w.encode(numpy.eye(9))[0]).sum())"
    drop = ["setpriv", "--bounding-set", "-all", "--inh-caps", "-all"] if not os.geteuid() else []
    run = subprocess.run([*drop, sys.executable, "-c", program], capture_output=True, text=True, check=False,
                         cwd="/", env={"PATH": os.environ["PATH"], "HOME": "/dev/null"})  # fmt: skip
    assert run.returncode == 0, run.stderr
    assert run.stdout.startswith(str(home))
