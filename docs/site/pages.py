"""The sources of the documentation's site, from what the repository has: its Markdown pages, the commented YAML below
`conf/`, and docstrings. `python -m docs.site.pages FOLDER` writes them; `make docs` builds the site from there."""

import re
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

from docs.site.reference import write_reference

ROOT = Path(__file__).resolve().parents[2]
TREE = {
    "Guide": (
        "FIRST_TEN_MINUTES",
        "COMMANDS",
        "SWEEPS",
        "BRING_YOUR_OWN",
        "MODELS",
        "ODD_FILES",
        "CLUSTERS",
        "MEMORY",
        "TRACKING",
        "TASKS",
        "COLUMNS",
    ),
    "Science": ("SCIENCE", "STATISTICS", "PERFORMANCE", "LOG", "DEFECTS"),
    "Reference": ("configuration/index", "api/index"),
    "Project": ("ARCHITECTURE", "CONTRIBUTING", "CHANGELOG", "SECURITY"),
}
"""The menu; pages that are not named here come last in the guide."""
PAGES = {
    "README.md": "index.md",
    **{name: name for name in ("CONTRIBUTING.md", "CHANGELOG.md", "SECURITY.md")},
    **{f"docs/{path.name}": path.name for path in sorted((ROOT / "docs").glob("*.md"))},
}
"""File of the repository -> page of the site."""
API = {
    "From Python": (
        "w2s_sweep.api",
        "w2s_sweep.errors",
        "w2s_sweep.predictions",
        *(f"w2s_sweep.results.{name}" for name in ("collected", "records", "comparison", "curve_point")),
    ),
    "Methods": (
        "w2s_sweep.methods.base",
        "w2s_sweep.plan.setup",
        "w2s_sweep.plan.builder",
        "w2s_sweep.plan.labels",
        "w2s_sweep.plan.finished",
        "w2s_sweep.plan.roles",
    ),
    "Losses": ("w2s_sweep.losses.base", "w2s_sweep.losses.softmax"),
    "Metrics": ("w2s_sweep.metrics.base", "w2s_sweep.metrics.further", "w2s_sweep.metrics.means"),
    "Tasks": ("w2s_sweep.data.tasks.base", "w2s_sweep.data.examples"),
    "Trackers": ("w2s_sweep.tracking.base",),
}
"""Modules that code of one's own imports, by what it adds."""
LINK = re.compile(r"(!?)\[([^\]]*)\]\(([^)\s]+)\)")
SCHEME = re.compile(r"[a-z]+:")


def menu() -> dict[str, tuple[str, ...]]:
    """Every page of the site but the first, by heading."""
    named = {name for names in TREE.values() for name in names}
    others = sorted(Path(page).stem for page in PAGES.values())
    return TREE | {"Guide": TREE["Guide"] + tuple(name for name in others if name not in {*named, "index"})}


def links(path: Path) -> Iterator[tuple[int, str]]:
    """(line, target) of every link to something in the repository; code blocks have none."""
    fenced = False
    for number, line in enumerate(path.read_text().splitlines(), 1):
        fenced ^= line.lstrip().startswith("```")
        if fenced or line.startswith("    "):
            continue
        yield from ((number, found[3]) for found in LINK.finditer(line) if not SCHEME.match(found[3]))


def anchors(path: Path) -> set[str]:
    """What headings are linked as, in the way of GitHub and MyST."""
    heads = (line.lstrip("#").strip() for line in path.read_text().splitlines() if line.startswith("#"))
    return {re.sub(r"[^\w\- ]", "", head.lower()).replace(" ", "-") for head in heads}


def broken_links(path: Path) -> list[str]:
    """Links of a page to a file or a heading that is not there."""
    problems: list[str] = []
    for number, link in links(path):
        target, _, anchor = link.partition("#")
        file = (path.parent / target).resolve() if target else path
        if not file.exists():
            problems.append(f"{path.name}:{number}: {target} is not there")
        elif anchor and file.suffix == ".md" and anchor not in anchors(file):
            problems.append(f"{path.name}:{number}: {file.name} has no heading #{anchor}")
    return problems


def write_pages(folder: Path) -> None:
    """Write all sources of the site below `folder`."""
    for source, page in PAGES.items():
        write(folder / page, rewrite(ROOT / source, folder))
    groups = write_reference(ROOT / "conf", folder / "configuration")
    modules = [write_module(folder, name) for names in API.values() for name in names]
    write(folder / "api" / "index.md", _api_index())
    index = folder / "index.md"
    write(index, index.read_text() + "".join(toctree(head, names) for head, names in menu().items()))
    print(f"{len(PAGES)} pages, {len(groups)} of configuration, {len(modules)} of modules in {folder}")


def rewrite(path: Path, folder: Path) -> str:
    """A page whose links lead to other pages of the site; to files that are no pages only their name is said."""

    def change(found: re.Match[str]) -> str:
        image, text, link = found.groups()
        if SCHEME.match(link) or link.startswith("#"):
            return found[0]
        target, hash_, anchor = link.partition("#")
        name = (path.parent / target).resolve().relative_to(ROOT).as_posix()
        if name in PAGES:
            return f"[{text}]({PAGES[name]}{hash_}{anchor})"
        if image:
            folder.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, folder / Path(name).name)
            return f"![{text}]({Path(name).name})"
        return text if name in text else f"{text} (`{name}`)"

    return LINK.sub(change, path.read_text())


def write_module(folder: Path, name: str) -> Path:
    """A page for the docstrings of a module."""
    rows = [f"# {name.removeprefix('w2s_sweep.')}", "", "```{eval-rst}", f".. automodule:: {name}"]
    rows += ["   :members:", "   :show-inheritance:", "```", ""]
    return write(folder / "api" / f"{name}.md", "\n".join(rows))


def _api_index() -> str:
    parts = [
        "# Modules for code of your own",
        "",
        "What Python code imports: to run and read sweeps, and to add to them.",
        "",
    ]
    for head, names in API.items():
        parts += [f"## {head}", "", "```{toctree}", "", *names, "```", ""]
    return "\n".join(parts)


def toctree(head: str, names: tuple[str, ...]) -> str:
    return "\n".join(["", "```{toctree}", ":hidden:", f":caption: {head}", "", *names, "```", ""])


def write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


if __name__ == "__main__":
    wrong = [problem for source in PAGES for problem in broken_links(ROOT / source)]
    sys.exit("\n".join(wrong)) if wrong else write_pages(Path(sys.argv[1]))
