"""`python -m headstay` is the command `headstay`."""

import sys

from headstay.cli import main

sys.exit(main())
