"""Words without `=` on a command line: a shell took a value with spaces apart, or values stand without commas."""

import re
import shlex
from collections.abc import Sequence

NUMBER = re.compile(r"-?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?")


def stray_words(words: Sequence[str], place: int) -> list[str] | None:
    """What is wrong with a word that says no setting, once for all that stand beside each other.

    `words`: the overrides of a command; `place`: of one that Hydra cannot read. None where it is another mistake.
    """
    if not place or not _is_bare(words[place]):
        return None
    first = next((i for i in range(place - 1, -1, -1) if not _is_bare(words[i])), None)
    if first is None or "=" not in words[first]:
        return None
    if first < place - 1:
        return []  # told with the first of them
    after = next((i for i in range(place, len(words)) if not _is_bare(words[i])), len(words))
    key, _, value = words[first].partition("=")
    values = [value, *words[place:after]]
    if all(NUMBER.fullmatch(one.strip(",")) for one in values):
        todo = f"Values of a grid stand without spaces: {key}={','.join(one.strip(',') for one in values)}"
    else:
        quoted = shlex.quote(in_quotes(key, " ".join(values)))
        todo = f"A value with spaces needs quotes, and all of it quotes for the shell: {quoted}"
    return [f"{' '.join(words[place:after])!r}: says no setting, it has no `=`. {todo}."]


def is_cut_off(words: Sequence[str], place: int) -> bool:
    """Whether a value ends with a comma and its rest stands in the next word, with which `stray_words` tells of it."""
    return words[place].endswith(",") and place + 1 < len(words) and stray_words(words, place + 1) is not None


def in_quotes(key: str, value: str) -> str:
    """An override whose value Hydra's grammar takes as it stands."""
    text = value.replace("\\", "\\\\").replace('"', '\\"')
    return f'{key}="{text}"'


def _is_bare(word: str) -> bool:
    return "=" not in word and not word.startswith("~")
