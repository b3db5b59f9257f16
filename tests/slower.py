"""Which cases of a test wait for `make test-slow`."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest


def first_ones(quick: int, cases: Iterable[Any]) -> list[Any]:
    """All cases for parametrize; those after the first `quick` are slow."""
    found = []
    for place, case in enumerate(cases):
        values = case if isinstance(case, tuple) else (case,)
        found.append(case if place < quick else pytest.param(*values, marks=pytest.mark.slow))
    return found
