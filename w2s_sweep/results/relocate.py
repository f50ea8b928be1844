"""Results that are read elsewhere name no folder of the machine that made them."""

import json
import re
from dataclasses import replace
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
    known = Hidden(store)
    return replace(
        results,
        record=hide_in(store, results.record),
        rows=tuple(_row(known, row) for row in results.rows),
        failures={key: hide(store, text) for key, text in results.failures.items()},
    )


class Hidden(dict[str, str]):
    """Text -> what `hide` makes of it: the rows of a large sweep have few texts, but each has a dozen of them."""

    def __init__(self, store: Store) -> None:
        super().__init__()
        self.store = store

    def __missing__(self, text: str) -> str:
        found = self[text] = hide(self.store, text)
        return found


def _row(known: Hidden, row: Row) -> Row:
    texts = {name: text for name, text in vars(row).items() if isinstance(text, str)}
    changed = {name: found for name, text in texts.items() if (found := known[text]) != text}
    overrides = tuple([known[text] for text in row.overrides])
    if not changed and overrides == row.overrides:
        return row
    return replace(row, **changed, overrides=overrides)
