"""The command line: one cell with `python launch.py ...`, a grid with `python launch.py -m ...`."""

import sys

from w2s_sweep.launch.main import main

if __name__ == "__main__":
    sys.exit(main())
