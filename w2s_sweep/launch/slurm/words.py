"""Amounts in the words of SLURM's programs, read as sbatch reads them: whoever wrote them, they mean the same."""


def count_of(word: str | None) -> int | None:
    """A whole number; None where the word is none, or is missing."""
    return int(word) if word is not None and word.isdigit() else None


def minutes_of(text: str) -> float | None:
    """`minutes`, `minutes:seconds`, `hours:minutes:seconds`, `days-hours[:minutes[:seconds]]`; None for no limit."""
    days, dash, clock = text.rpartition("-")
    parts = clock.split(":")
    if not all(part.isdigit() for part in (*parts, *([days] if dash else []))) or len(parts) > 3:
        return None  # UNLIMITED, or none
    numbers = list(map(int, parts))
    hours, minutes, seconds = [*numbers, 0, 0][:3] if dash or len(parts) == 3 else [0, *numbers, 0][:3]
    return (1440 * int(days or 0) + 60 * hours + minutes + seconds / 60) or None  # 0 is no limit


def gpus_of_gres(text: str) -> int | None:
    """`gpu:a100:4(S:0-1),nvme:1` -> 4, and a type without a number is one; None where it speaks of no GPU."""
    parts = [part.partition("(")[0].split(":") for part in text.split(",")]
    counts = [1 if (count := count_of(words[-1])) is None else count for words in parts if words[0] == "gpu"]
    return sum(counts) if counts else None
