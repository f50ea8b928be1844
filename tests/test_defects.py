"""The table of defects of earlier implementations names tests that exist."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
ROWS = [line for line in (ROOT / "docs" / "DEFECTS.md").read_text().splitlines() if re.match(r"\| \d", line)]
NAMED = re.compile(r"`(tests/[\w/]+\.py)::(\w+)`")


def defined_in(path: Path) -> set[str]:
    return {node.name for node in ast.parse(path.read_text()).body if isinstance(node, ast.FunctionDef)}


def test_every_defect_has_a_row():
    assert [int(row.split("|")[1]) for row in ROWS] == list(range(1, 15))


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.split("|")[1].strip())
def test_the_tests_that_tell_a_defect_exist(row: str):
    told_by = row.split("|")[3]
    named = NAMED.findall(told_by)
    assert len(named) == told_by.count("`") // 2 > 0
    for file, name in named:
        assert name.startswith("test_")
        assert name in defined_in(ROOT / file), f"docs/DEFECTS.md: no test {name} in {file}"
