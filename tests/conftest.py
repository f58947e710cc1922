"""Which tests start first."""

from __future__ import annotations

import pytest


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Start with the tests that take longest: a worker that comes to one at the end keeps all others waiting."""
    items.sort(key=lambda item: item.get_closest_marker("long") is None)
