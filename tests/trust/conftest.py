"""DER as tests write it stands beside the tests of what reads it."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).parents[1] / "transcript"))
