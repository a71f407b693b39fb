"""``python -m weightless_sim``."""

import sys

from weightless_sim.cli import main

sys.exit(main())
