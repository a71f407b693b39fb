"""Where what is made is kept.

Handed in, so that a sweep, a test or another machine has its own; commands take ``build`` of the folder they run in.
"""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Folders:
    """All below ``build``."""

    build: Path = Path("build")

    @property
    def sim(self) -> Path:
        """Simulators, by what they are built of, and the runs."""
        return self.build / "sim"

    @property
    def asic(self) -> Path:
        """Netlists and entries of ``weightless asic``."""
        return self.build / "asic"

    @property
    def fpga(self) -> Path:
        """Synthesised and placed decoders of ``weightless fpga``."""
        return self.build / "fpga"

    @property
    def placed(self) -> Path:
        """Their results, a file each."""
        return self.fpga / "results"

    @property
    def train(self) -> Path:
        """From where a run of training that was killed goes on."""
        return self.build / "train"

    @property
    def paper(self) -> Path:
        """Files, steps and log of ``weightless paper``."""
        return self.build / "paper"


HERE = Folders()
