import importlib.util

import pytest

from weightless_sw.provenance import install_line


@pytest.fixture(scope="session", autouse=True)
def torch(need):
    """torch, or a skip: users install it with the extra `train`."""
    missing = [name for name in ("torch", "sklearn") if importlib.util.find_spec(name) is None]
    need(f"{', '.join(missing)} not installed: {install_line('train')}" if missing else "")
    import torch

    torch.set_num_threads(1)
    return torch
