import gzip
import hashlib
import http.server
import threading

import numpy as np
import pytest

from weightless_sw.training import mnist
from weightless_sw.training.mnist import DataError, parse_idx

IMAGES = b"\x00\x00\x08\x03" + bytes([0, 0, 0, 2, 0, 0, 0, 2, 0, 0, 0, 3]) + bytes(range(12))


@pytest.fixture
def tiny_mnist(monkeypatch):
    """Four small IDX files, gzipped, with their checksums in place of the real ones."""
    rng = np.random.default_rng(0)
    contents = {}
    for kind, n in (("train", 5100), ("t10k", 50)):
        images = rng.integers(0, 256, (n, 28, 28)).astype(np.uint8)
        head = b"\x00\x00\x08\x03" + n.to_bytes(4, "big") + (28).to_bytes(4, "big") * 2
        contents[f"{kind}-images-idx3-ubyte"] = head + images.tobytes()
        labels = rng.integers(0, 10, n).astype(np.uint8)
        contents[f"{kind}-labels-idx1-ubyte"] = b"\x00\x00\x08\x01" + n.to_bytes(4, "big") + labels.tobytes()
    monkeypatch.setattr(
        mnist, "FILES", {name: hashlib.md5(data).hexdigest() for name, data in contents.items()}
    )
    return {f"{name}.gz": gzip.compress(data) for name, data in contents.items()}


def test_parse_idx():
    assert parse_idx(IMAGES, "x").tolist() == np.arange(12).reshape(2, 2, 3).tolist()


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "not an IDX"),
        (b"\x00\x00\x0d\x01" + IMAGES[4:], "not an IDX file of unsigned bytes"),
        (IMAGES[:9], "truncated in its header"),
        (IMAGES[:-1], r"shape \(2, 2, 3\) needs 12 bytes, the file has 11"),
        (IMAGES + b"x", "needs 12 bytes, the file has 13"),
        (b"\x00\x00\x08\xff" + b"\xff" * 1020, "needs .* bytes"),
    ],
)
def test_parse_idx_refuses(data, message):
    with pytest.raises(DataError, match=message):
        parse_idx(data, "x")


def test_folder_and_checksums(tmp_path, tiny_mnist):
    with pytest.raises(DataError, match="is missing; give a folder"):
        mnist.load(tmp_path)
    for name, data in tiny_mnist.items():
        (tmp_path / name).write_bytes(data)
    arrays = mnist.load(tmp_path)
    assert arrays["train-images-idx3-ubyte"].shape == (5100, 28, 28)
    (tmp_path / "t10k-labels-idx1-ubyte.gz").write_bytes(gzip.compress(b"other"))
    with pytest.raises(DataError, match="MD5 of the unpacked bytes"):
        mnist.load(tmp_path)
    (tmp_path / "t10k-labels-idx1-ubyte.gz").write_bytes(tiny_mnist["t10k-labels-idx1-ubyte.gz"][:-9])
    with pytest.raises(DataError, match="no complete gzip"):
        mnist.load(tmp_path)


def test_download_once_into_the_cache(tmp_path, tiny_mnist, monkeypatch):
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200)
            self.end_headers()
            self.wfile.write(tiny_mnist[self.path.strip("/")])

        def log_message(self, *_):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        here = f"http://127.0.0.1:{server.server_port}/"
        monkeypatch.setattr(mnist, "MIRRORS", ("http://127.0.0.1:1/", here))
        monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
        first = mnist.load()
        server.shutdown()
    assert np.array_equal(mnist.load()["t10k-labels-idx1-ubyte"], first["t10k-labels-idx1-ubyte"])
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "other"))
    monkeypatch.setattr(mnist, "MIRRORS", ("http://127.0.0.1:1/",))
    with pytest.raises(DataError, match="could not be downloaded"):
        mnist.load()


@pytest.mark.parametrize("fault", ["short", "html"])
def test_a_mirror_that_sends_rubbish_is_passed_over(tmp_path, tiny_mnist, monkeypatch, fault):
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            mirror, name = self.path.strip("/").split("/")
            data = tiny_mnist[name] if mirror != "html" else b"<html>log in</html>"
            self.send_response(200)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data[:-9] if mirror == "short" else data)

        def log_message(self, *_):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        here = f"http://127.0.0.1:{server.server_port}/"
        monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
        monkeypatch.setattr(mnist, "MIRRORS", (f"{here}{fault}/",))
        with pytest.raises(DataError, match="could not be downloaded"):
            mnist.load()
        assert list(tmp_path.rglob("*.gz")) == []
        monkeypatch.setattr(mnist, "MIRRORS", (f"{here}{fault}/", f"{here}good/"))
        assert mnist.load()["t10k-images-idx3-ubyte"].shape == (50, 28, 28)
        server.shutdown()
