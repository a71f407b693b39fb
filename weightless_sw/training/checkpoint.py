"""What a run has reached, kept in a file after every step, so that a killed run goes on with the same result."""

import hashlib
import io
import zlib
from pathlib import Path
from typing import Any

import torch

from weightless_sw.files import write_atomically

CRC_BYTES = 4


class Checkpoint:
    """A state of plain values and tensors by name in ``folder``, or nowhere if that is None.

    ``what`` names the run: another network, recipe or version of torch has another file.  A broken
    file counts as none.
    """

    def __init__(self, folder: Path | None, *what: object):
        key = hashlib.sha256(repr((torch.__version__, *what)).encode()).hexdigest()[:16]
        self.path = folder / f"{key}.pt" if folder else None

    def load(self) -> dict[str, Any] | None:
        """The state that was kept last; nothing but tensors and plain values is read."""
        if not self.path or not self.path.exists():
            return None
        data = self.path.read_bytes()
        if zlib.crc32(data[CRC_BYTES:]).to_bytes(CRC_BYTES, "little") != data[:CRC_BYTES]:
            return None
        state: dict[str, Any] = torch.load(io.BytesIO(data[CRC_BYTES:]), weights_only=True)
        return state

    def save(self, state: dict[str, Any]) -> None:
        """Keep ``state`` in the place of the one before."""
        if self.path:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            buffer = io.BytesIO()
            torch.save(state, buffer)
            data = buffer.getvalue()
            write_atomically(self.path, zlib.crc32(data).to_bytes(CRC_BYTES, "little") + data)

    def remove(self) -> None:
        """The run is done."""
        if self.path:
            self.path.unlink(missing_ok=True)


def digest(state: dict[str, torch.Tensor]) -> str:
    """A name for these very weights."""
    total = hashlib.sha256()
    for name, value in state.items():
        total.update(name.encode() + value.cpu().numpy().tobytes())
    return total.hexdigest()
