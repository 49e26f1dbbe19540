"""Make the DER encoder of the tests in tests/transcript importable here."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).parents[1] / "transcript"))
