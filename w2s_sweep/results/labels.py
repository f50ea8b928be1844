"""Short labels of settings: the name alone, and what tells settings of one name apart only where it does."""

import json
from collections.abc import Collection, Iterable, Mapping
from typing import Any, cast

from w2s_sweep.config.plain import flatten

UNSEEN = frozenset({"name", "resources", "tokens_per_example"})
"""Settings that no label shows: the name itself, and what cannot change a result."""

DISCLOSED: Mapping[str, frozenset[str]] = {
    "early_stopping": frozenset({"oracle", "weak"}),
    "rule": frozenset({"learned"}),
    "supervision": frozenset({"hard"}),
}
"""Values that a label always shows, also where all settings share them: truth that is spent must not be overlooked, nor
that labels were made hard."""


_encode = json.JSONEncoder(sort_keys=True, ensure_ascii=False).encode  # made once: cells are many


def sorted_json(value: Any) -> str:
    """One text for equal settings, whatever the order of their names."""
    return _encode(value)


def label_all(settings: Iterable[Mapping[str, Any]]) -> dict[str, str]:
    """`sorted_json` of each distinct settings object -> its label, such as `confidence` or `confidence(alpha=0.5)`.

    Parameters are shown only for names that occur with several values of them in `settings`, and what is `DISCLOSED`.
    """
    distinct = {sorted_json(s): s for s in settings}
    shown: dict[str, str] = {}
    for name in sorted({str(s["name"]) for s in distinct.values()}):
        same = {text: _visible(s) for text, s in distinct.items() if s["name"] == name}
        vary = varying(same.values())
        for text, s in same.items():
            shown_paths = [path for path in s if path in vary or s[path] in DISCLOSED.get(path, ())]
            inner = ", ".join(f"{path.rpartition('.')[2]}={_short(s[path])}" for path in shown_paths)
            shown[text] = f"{name}({inner})" if inner else name
    return shown


def _visible(settings: Mapping[str, Any]) -> dict[str, Any]:
    return flatten({k: v for k, v in settings.items() if k not in UNSEEN})


def varying(settings: Collection[Mapping[str, Any]]) -> list[str]:
    """The paths under which flat settings have several values, in the order in which they come; nothing and null are
    one."""
    paths = dict.fromkeys(path for s in settings for path in s)
    return [path for path in paths if len({sorted_json(s.get(path)) for s in settings}) > 1]


def _short(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:g}".replace("0.", ".", 1) if 0 < abs(value) < 1 else f"{value:g}"
    if isinstance(value, Mapping):
        return str(cast(Mapping[str, Any], value).get("name", sorted_json(value)))
    if isinstance(value, list):
        return "+".join(_short(v) for v in cast(list[Any], value))
    return "none" if value is None else str(value)
