"""How long hypothesis searches: HYPOTHESIS_PROFILE=search for long."""

from __future__ import annotations

import os

from hypothesis import HealthCheck, settings

settings.register_profile("tests", deadline=None, max_examples=25, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("search", deadline=None, max_examples=2000, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "tests"))
