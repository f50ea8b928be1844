"""docs/ODD_FILES.md says of every odd file and folder what really comes of it."""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from tests.data.test_own_files import BAD, GOOD, Case, settings, write
from tests.sources.test_model_folder import WRONG, write_model
from w2s_sweep.config.source import LocalSource
from w2s_sweep.data.examples import build_examples
from w2s_sweep.errors import DataError, SourceError
from w2s_sweep.sources import identify

PAGE = Path(__file__).parents[1] / "docs" / "ODD_FILES.md"


def came(folder: Path, case: Case) -> str:
    """What is told of a data file."""
    left_out = Counter[str]()
    try:
        examples = build_examples(settings(**case.change), write(folder, case.files), left_out)
    except DataError as error:
        return f"refused: {error}"
    odd = ", ".join(f"{count} {reason}" for reason, count in left_out.items() if count)
    return f"{len(examples)} examples" + (f"; left out: {odd}" if odd else "")


def typed(value: object) -> str:
    """A setting as a command says it."""
    if not isinstance(value, tuple):
        return str(value)
    pairs = all(isinstance(one, tuple) for one in value)
    inside = ", ".join(f"{one[0]}: {one[1]}" if pairs else str(one) for one in value)
    return f"{{{inside}}}" if pairs else f"[{inside}]"


def rows(tmp_path: Path) -> Iterator[str]:
    for name, case in (GOOD | BAD).items():
        files = ", ".join(sorted(case.files))
        said = " ".join(f"dataset.{field}={typed(value)}" for field, value in case.change.items())
        told = came(tmp_path / name, case).replace(str(tmp_path / name), "FOLDER")
        yield f"| {name} | `{files}`{f', with `{said}`' if said else ''} | {told} |"
    for name, (spoil, _) in WRONG.items():
        folder = tmp_path / "models" / name
        write_model(folder / "right")
        spoil(write_model(folder / "model"))
        try:
            identify(LocalSource(path=str(folder / "model")), "model")
        except SourceError as error:
            yield f"| {name} | {str(error).replace(str(folder / 'model'), 'FOLDER')} |"


def test_the_page_says_what_comes(tmp_path: Path) -> None:
    found = list(rows(tmp_path))
    page = [row for row in PAGE.read_text().splitlines() if row.startswith("| ")]
    assert page == ["| file | what it is | what came |", *found[: len(GOOD | BAD)], "| folder | what came |",
                    *found[len(GOOD | BAD) :]]  # fmt: skip
    assert len(GOOD | BAD) >= 20
    assert len(WRONG) >= 15
