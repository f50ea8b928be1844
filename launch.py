"""The command line: one cell with `python launch.py ...`, a grid with `python launch.py -m ...`."""

import sys

from w2s_sweep.launch.main import main

# Hydra's shell completion knows its programs by the text @hydra.main in them.

if __name__ == "__main__":
    sys.exit(main())
