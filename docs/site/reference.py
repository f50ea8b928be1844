"""The reference of the configuration: a page for each group below `conf/`, from the comments of its YAML files."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

FIELD = re.compile(r"(?P<indent> *)(?P<name>[\w@/. -]+):(?: (?P<value>[^ ].*?))?(?:  # (?P<about>.*))?")
GROUPS = (
    "dataset", "model", "supervisor", "loss", "method", "finetune", "tracker", "experiment", "hydra/launcher",
)  # fmt: skip
HIDDEN = {"defaults", "_target_"}


@dataclass(frozen=True)
class Field:
    """A line of a YAML file that sets something."""

    name: str
    """Dotted, as on the command line."""
    value: str
    about: str


def read_fields(path: Path) -> tuple[str, list[Field]]:
    """(what the comment above the settings says, the settings) of a file."""
    head: list[str] = []
    found: list[Field] = []
    above: list[tuple[int, str]] = []
    for line in path.read_text().splitlines():
        if line.startswith("#"):
            head += [line.lstrip("# ")] if not found and "@package" not in line else []
            continue
        match = FIELD.fullmatch(line)
        if match is None:
            continue
        depth = len(match["indent"])
        above = [(d, name) for d, name in above if d < depth]
        above.append((depth, match["name"]))
        value, about = match["value"] or "", match["about"] or ""
        if above[0][1] not in HIDDEN and (value or about):
            found.append(Field(".".join(name for _, name in above), value, about))
    return "\n".join(head), found


def write_reference(conf: Path, folder: Path) -> list[str]:
    """Write the pages; returns the names of those of groups."""
    folder.mkdir(parents=True, exist_ok=True)
    pages = [write_group(conf / group, group, folder) for group in GROUPS]
    _, fields = read_fields(conf / "config.yaml")
    index = [
        "# Configuration",
        "",
        "Every setting of a sweep, as in `conf/config.yaml`: `NAME=VALUE` on the command line,",
    ]
    index += ["and in a grid with `-m` several values, `NAME=A,B`. Groups are chosen by the name of a file:", ""]
    index += [
        f"[`{group}`]({page}.md)" + (" ·" if group != GROUPS[-1] else "")
        for group, page in zip(GROUPS, pages, strict=True)
    ]
    index += ["", "## Settings of a sweep", "", *table(fields), "", "```{toctree}", ":hidden:", "", *pages, "```", ""]
    (folder / "index.md").write_text("\n".join(index))
    return pages


def write_group(folder: Path, group: str, out: Path) -> str:
    """The page of a group: files that others build on first, then each choice and what differs in it."""
    page = group.replace("/", "-")
    rows = [f"# {group}", ""]
    for path in sorted(folder.glob("*.yaml"), key=lambda path: (not path.name.startswith("_"), path.name)):
        about, fields = read_fields(path)
        base = path.name.startswith("_")
        rows += [f"## `{path.name}`" if base else f"## {path.stem}", ""]
        rows += [quote(about), ""] if about else []
        rows += [] if base else [f"`{group}={path.stem}`" if group != "model" else f"`model@strong={path.stem}`", ""]
        rows += [*table(fields), ""] if fields else []
    (out / f"{page}.md").write_text("\n".join(rows))
    return page


def table(fields: Sequence[Field]) -> list[str]:
    """A row a setting; the bar would end a cell."""
    head = ["| setting | value | meaning |", "|---|---|---|"]
    return head + [f"| `{f.name}` | {_code(f.value)} | {quote(f.about)} |" for f in fields]


def _code(value: str) -> str:
    return f"`{value}`".replace("|", "\\|") if value else ""


def quote(text: str) -> str:
    """A comment as Markdown: what stands in it is words, but for names in backticks."""
    parts = text.split("`")
    parts[::2] = [re.sub(r"([\\*_<>\[\]{}|#$~])", r"\\\1", part) for part in parts[::2]]
    return "`".join(parts)
