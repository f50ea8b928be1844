"""The command line: one cell with `python launch.py ...`, a grid with `python launch.py -m ...`."""

import sys

from w2s_sweep.launch.announce import announce

# Hydra's shell completion knows its programs by the text @hydra.main in them.

if __name__ == "__main__":
    announce(sys.argv[1:])
    from w2s_sweep.launch.main import main

    sys.exit(main())
