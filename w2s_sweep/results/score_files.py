"""The PGR of predictions made elsewhere: files of weak supervisor, student, ceiling and truth, scored as a sweep's."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from w2s_sweep.arrays import Array
from w2s_sweep.config.supervisor import LabelColumns
from w2s_sweep.data.labels_file import Key, Said, read_said
from w2s_sweep.errors import ConfigError, DataError, unknown
from w2s_sweep.metrics import METRICS, ROLES, Interval, Recovery
from w2s_sweep.results.baselines import Baselines, describe_students, read_baselines
from w2s_sweep.results.examples import Examples
from w2s_sweep.results.score import measure
from w2s_sweep.results.summary import summarize
from w2s_sweep.results.tables.lines import count_text, interval
from w2s_sweep.results.why import explain_recovery

FILES = (*ROLES, "truth")
OF_BASELINES = ("weak", "ceiling")
"""Roles whose scores a file of baselines has."""
SETTINGS = (
    "baselines",
    "task",
    "metric",
    "group",
    "classes",
    "missing",
    *(f"columns.{name}" for name in LabelColumns.__dataclass_fields__),
)


@dataclass(frozen=True, kw_only=True)
class Request:
    """What is to be scored."""

    files: Mapping[str, tuple[Path, ...]]
    """Role -> its files, one for each seed; a role with a single one has the same for all seeds."""
    truth: Path
    columns: LabelColumns
    """What the files call their columns."""
    classes: tuple[str, ...] | None = None
    """What the files call class 0, 1, ..."""
    metric: str = "accuracy"
    group: str | None = None
    """Column of the truth: rows with the same value are one observation, such as one document."""
    skip: bool = False
    """Leave out examples that a role has no prediction for, instead of refusing."""
    baselines: Baselines | None = None
    """Scores of weak supervisor and ceiling, instead of their files."""

    @property
    def seeds(self) -> int:
        return max(len(found) for found in self.files.values())


def parse_request(words: Sequence[str]) -> Request:
    """`weak=FILE student=FILE ceiling=FILE truth=FILE [SETTING=VALUE ...]`, or `baselines=FILE` for weak and ceiling;
    ConfigError with all that is wrong, DataError for a file of baselines."""
    said = {name: value for name, _, value in (word.partition("=") for word in words)}
    fixed = "baselines" in said
    roles = [role for role in ROLES if not (fixed and role in OF_BASELINES)]
    problems = [unknown("score", name, (*FILES, *SETTINGS)) for name in said if name not in (*FILES, *SETTINGS)]
    needed = [name for name in ("baselines", *FILES) if name in (*roles, "truth") or (fixed and name == "baselines")]
    problems += [f"{name}: needs a file, as in {name}=FILE." for name in needed if not said.get(name)]
    problems += [_beside_baselines(role) for role in OF_BASELINES if fixed and role in said]
    problems += ["task: is one of those in a file of baselines; add baselines=FILE."] * ("task" in said and not fixed)
    metric = said.get("metric", "accuracy")
    problems += [unknown("metric", metric, METRICS)] if metric not in METRICS else []
    if said.get("missing", "refuse") not in ("refuse", "skip"):
        problems.append(f"missing: got {said['missing']!r}. Allowed: refuse, skip.")
    files = {role: tuple(map(Path, said.get(role, "").split(","))) for role in roles}
    counts = {len(found) for found in files.values()} - {1}
    if len(counts) > 1:
        told = ", ".join(f"{role} {len(found)}" for role, found in files.items())
        problems.append(f"files: {told}; give one of each role, or one for each seed, separated by commas.")
    for name, path in [
        *((role, p) for role, found in files.items() for p in found),
        *((name, Path(said.get(name, ""))) for name in ("truth", "baselines")),
    ]:
        if said.get(name) and not path.is_file():
            problems.append(f"{name}: {path} is no file.")
    if problems:
        raise ConfigError(problems)
    columns = {name.removeprefix("columns."): value for name, value in said.items() if name.startswith("columns.")}
    classes = said["classes"].strip("[]").split(",") if "classes" in said else None
    baselines = read_baselines(Path(said["baselines"]), said.get("task")) if fixed else None
    if baselines is not None and "metric" in said and metric != baselines.metric:
        raise ConfigError([f"metric: got {metric!r}, while the baselines are of {baselines.metric!r}. Leave it out."])
    return Request(
        files=files,
        truth=Path(said["truth"]),
        columns=LabelColumns(**columns),
        classes=None if classes is None else tuple(one.strip() for one in classes),
        metric=metric if baselines is None else baselines.metric,
        group=said.get("group"),
        skip=said.get("missing") == "skip",
        baselines=baselines,
    )


def _beside_baselines(role: str) -> str:
    return f"{role}: its scores are those of the file of baselines; leave {role}=FILE out, or baselines=FILE."


def score_files(request: Request) -> str:
    """The PGR with its interval, and what it is made of, as text. Raises DataError."""
    truth = _read(request, request.truth, "truth")
    if (truth.probs.max(1) < 1).any():
        raise DataError(f"truth: {request.truth} has labels that are not hard. The truth is one class a row.")
    said = {role: [_read(request, path, role) for path in paths] for role, paths in request.files.items()}
    keys, notes = _common(request, truth, said)
    width = max(truth.classes, *(one.classes for found in said.values() for one in found))
    cells = [_examples(request, truth, _of_seed(said, seed), keys, width) for seed in range(request.seeds)]
    if request.baselines is not None:
        return "\n".join([*notes, "", *_against(request, request.baselines, cells, len(keys))])
    ((common, found),) = summarize([measure(cells)], request.metric)
    return "\n".join([*notes, "", *_describe(request, common, found, len(keys))])


def _against(
    request: Request, baselines: Baselines, cells: Sequence[Mapping[str, Examples]], examples: int
) -> list[str]:
    baselines.require(examples, "baselines")
    name = f"{request.metric}/student"
    scores = [found for one in measure(cells) if (found := one.means.get(name)) is not None]
    if len(scores) < len(cells):
        raise DataError(f"student: {request.metric} is undefined for these examples.")
    return [f"metric {request.metric}", "", *describe_students(baselines, {"student": scores})]


def _read(request: Request, path: Path, field: str) -> Said:
    more = [request.group] if request.group is not None and field == "truth" else []
    return read_said(path, _columns(request, field), classes=request.classes, more=more, field=field)


def _columns(request: Request, field: str) -> LabelColumns:
    """Columns that hold labels are of predictions; those that rows are found by are of the truth as well."""
    c = request.columns
    return LabelColumns(id=c.id, text=c.text, text_other=c.text_other) if field == "truth" else c


def _common(request: Request, truth: Said, said: Mapping[str, Sequence[Said]]) -> tuple[list[Key], list[str]]:
    """The examples that are scored, and what was left out of each file, by reason."""
    notes = [_note("truth", request.truth, truth, 0)]
    keys = set(truth.keys)
    for role, found in said.items():
        for path, one in zip(request.files[role], found, strict=True):
            if one.by != truth.by:
                raise DataError(f"{role}: {path} names examples by {one.by}, the truth by {truth.by}. Use the same.")
            there = set(one.keys)
            lacking = len(set(truth.keys) - there)
            if lacking and not request.skip:
                raise DataError(
                    f"{role}: {path} has no prediction for {lacking:,} of {len(truth.keys):,} examples of the truth. "
                    "Complete it, or set missing=skip to score the examples that all files have."
                )
            keys &= there
            notes.append(_note(role, path, one, len(there - set(truth.keys))))
    if not keys:
        raise DataError("score: the files have no example in common. Check that ids (or texts) are the same.")
    notes.append(f"{len(keys):,} of {len(truth.keys):,} examples are scored")
    return sorted(keys), notes


def _note(role: str, path: Path, said: Said, unknown_rows: int) -> str:
    left_out = dict(said.left_out) | ({"examples that the truth does not have": unknown_rows} if unknown_rows else {})
    odd = ", ".join(f"{count:,} {reason}" for reason, count in left_out.items())
    return f"{role:<8} {path}: {said.rows:,} rows" + (f"; left out: {odd}" if odd else "")


def _of_seed(said: Mapping[str, Sequence[Said]], seed: int) -> Mapping[str, Said]:
    return {role: found[seed if len(found) > 1 else 0] for role, found in said.items()}


def _examples(
    request: Request, truth: Said, roles: Mapping[str, Said], keys: Sequence[Key], width: int
) -> Mapping[str, Examples]:
    true = _rows(truth, keys, width).argmax(1)
    names = np.array(["\x1f".join(key) for key in keys], dtype=str)
    groups = names if request.group is None else _groups(truth, keys, request.group)
    return {
        role: Examples(
            ids=names,
            groups=groups,
            truth=true,
            probs=_rows(one, keys, width),
            digest=hashlib.sha256(true.tobytes()).hexdigest(),
        )
        for role, one in roles.items()
    }


def _rows(said: Said, keys: Sequence[Key], width: int) -> Array:
    place = {key: row for row, key in enumerate(said.keys)}
    chosen = said.probs[[place[key] for key in keys]]
    return np.pad(chosen, ((0, 0), (0, width - said.classes)))


def _groups(truth: Said, keys: Sequence[Key], column: str) -> Array:
    named = dict(zip(truth.keys, truth.more[column], strict=True))
    return np.array([str(named[key]) for key in keys], dtype=str)


def _describe(request: Request, common: Mapping[str, Interval | object], found: Recovery, examples: int) -> list[str]:
    groups = f"{common['n_groups']:,} groups of examples"
    lines = [f"metric {request.metric}, {count_text(request.seeds, 'seed')}, {groups}", ""]
    for role in ROLES:
        value = common[role]
        assert isinstance(value, Interval)
        lines.append(f"{role:<8} {interval(value, 4)}")
    return [*lines, "", *explain_recovery(found)]
