"""Profiles of hypothesis (HYPOTHESIS_PROFILE=search takes long). No test starts if the compiled kernel is stale."""

from __future__ import annotations

import os

import pytest
from compiled import complaints
from hypothesis import HealthCheck, settings

settings.register_profile("tests", deadline=None, max_examples=25, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("search", deadline=None, max_examples=2000, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "tests"))


def pytest_configure(config: pytest.Config) -> None:
    if not hasattr(config, "workerinput") and (found := complaints()):
        raise pytest.UsageError("\n".join(found))
