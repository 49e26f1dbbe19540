"""`python -m tlsdissect`."""

import sys

from tlsdissect.cli import main

sys.exit(main())
