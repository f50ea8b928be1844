"""Sphinx's settings; `make docs` writes the sources first, see pages.py."""

import re
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from w2s_sweep.version import __version__

project = "w2s_sweep"
author = "The w2s_sweep authors"
version = release = __version__
extensions = ["myst_parser", "sphinx.ext.autodoc"]
html_theme = "furo"
html_title = f"w2s_sweep {__version__}"
html_show_copyright = False
default_role = "code"  # docstrings write `name`
myst_heading_anchors = 3
autodoc_member_order = "bysource"
autodoc_typehints = "signature"
# Highlighters guess at blocks that are transcripts of a terminal.
highlight_language = "none"
WORDS = re.compile(r"([*|]|_(?=\W|$))")


def escape(app: Any, what: str, name: str, item: object, options: object, lines: list[str]) -> None:
    """Docstrings are plain text: of what reStructuredText would act on, only names in backticks do."""
    for i, line in enumerate(lines):
        parts = line.split("`")
        parts[::2] = [WORDS.sub(r"\\\1", part) for part in parts[::2]]
        lines[i] = "`".join(parts)


def setup(app: Any) -> None:
    app.connect("autodoc-process-docstring", escape)
