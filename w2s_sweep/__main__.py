"""`python -m w2s_sweep` is the command `w2s`."""

import sys

from w2s_sweep.cli import main

if __name__ == "__main__":
    sys.exit(main())
