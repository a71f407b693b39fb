from typing import Any

import pytest


@pytest.fixture(scope="session", autouse=True)
def with_torch(torch: Any) -> None:
    """All of training needs it."""
