"""Results that are read elsewhere name no folder of the machine that made them."""

import json
import re
from collections.abc import Mapping
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

from w2s_sweep.results.collected import Results
from w2s_sweep.results.records import Row
from w2s_sweep.store import Store

STORE = "STORE"
"""Stands for the folder of the store."""
HOME = "~"
BEFORE = r"(?<![\w.~-])"
"""A folder's name begins here: /data is no part of /home/u/data, nor of /data2."""


def hide(store: Store, text: str) -> str:
    """The text with the folders of the store and of the user in short."""
    home = str(Path.home())
    if home not in text and str(store.root) not in text:
        return text  # nearly all: there are hundreds of thousands of them in a large sweep
    text = re.sub(rf"{BEFORE}{re.escape(str(store.root))}(?![\w-]|\.\w)", STORE, text)
    return re.sub(rf"{BEFORE}{re.escape(home)}/", f"{HOME}/", text) if home != "/" else text


def hide_in(store: Store, plain: Any) -> Any:
    """The same of every text in plain data."""
    text = json.dumps(plain, ensure_ascii=False)
    hidden = hide(store, text)
    return plain if hidden == text else json.loads(hidden)


def relocate(store: Store, results: Results) -> Results:
    """The same results without the machine's folders in commands, overrides, labels and reasons."""
    return replace(
        results,
        record=hide_in(store, results.record),
        rows=tuple(_row(store, row) for row in results.rows),
        failures={key: hide(store, text) for key, text in results.failures.items()},
    )


def _row(store: Store, row: Row) -> Row:
    texts: Mapping[str, Any] = {f.name: getattr(row, f.name) for f in fields(row)}
    changed = {name: hide(store, text) for name, text in texts.items() if isinstance(text, str)}
    overrides = tuple(hide(store, text) for text in row.overrides)
    if overrides == row.overrides and all(texts[name] == text for name, text in changed.items()):
        return row
    return replace(row, **changed, overrides=overrides)
