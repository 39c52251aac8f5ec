"""`python -m dlbench.cli` is `dlbench`."""

import sys

from dlbench.cli import main

sys.exit(main())
