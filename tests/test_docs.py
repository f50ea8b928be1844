"""The pages and the site: links lead somewhere, every page is in the menu, every setting is in the reference."""

from pathlib import Path

import pytest
import yaml

from docs.site import pages
from docs.site.pages import API, PAGES, ROOT, anchors, broken_links, menu, rewrite, write_pages
from docs.site.reference import GROUPS, quote, read_fields


@pytest.mark.parametrize("source", PAGES)
def test_every_link_of_a_page_leads_somewhere(source):
    assert broken_links(ROOT / source) == []


def test_a_link_to_nothing_is_found_and_code_has_no_links(tmp_path):
    page = tmp_path / "page.md"
    page.write_text("# A head: `x`, 1\n[a](#a-head-x-1) [b](#no) [c](no.md) [d](https://x.y)\n\n    [e](no.md)\n")
    assert anchors(page) == {"a-head-x-1"}
    assert broken_links(page) == ["page.md:2: page.md has no heading #no", "page.md:2: no.md is not there"]


def test_links_of_a_page_stay_on_the_site(tmp_path, monkeypatch):
    monkeypatch.setattr(pages, "ROOT", tmp_path)
    for name in ("docs/STATISTICS.md", "launch.py", "docs/a.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "README.md").write_text(
        "[s](docs/STATISTICS.md#pgr) [code](launch.py) ![p](docs/a.png) [x](https://x.y) [here](#pgr)"
    )
    text = rewrite(tmp_path / "README.md", tmp_path / "out")
    assert text == "[s](STATISTICS.md#pgr) code (`launch.py`) ![p](a.png) [x](https://x.y) [here](#pgr)"
    assert (tmp_path / "out" / "a.png").is_file()


def test_every_page_is_in_the_menu(tmp_path):
    write_pages(tmp_path)
    listed = [name for names in menu().values() for name in names]
    assert {Path(page).stem for page in PAGES.values()} - {"index"} == {n for n in listed if "/" not in n}
    assert len(set(listed)) == len(listed)
    assert all((tmp_path / f"{name}.md").is_file() for name in listed)
    index = (tmp_path / "api" / "index.md").read_text()
    for name in (name for names in API.values() for name in names):
        assert name in index
        assert (ROOT / (name.replace(".", "/") + ".py")).is_file()


def test_every_setting_is_in_the_reference(tmp_path):
    write_pages(tmp_path)
    for group in GROUPS:
        page = (tmp_path / "configuration" / f"{group.replace('/', '-')}.md").read_text()
        for path in (ROOT / "conf" / group).glob("*.yaml"):
            names = {f.name for f in read_fields(path)[1]}
            missing = settings(yaml.load(path.read_text(), yaml.CSafeLoader)) - names
            assert missing == set(), path
            assert all(f"`{name}`" in page for name in names), path


def settings(found: dict, prefix: str = "") -> set[str]:
    """Dotted names of all values of a file, as deep as a line each has them."""
    names = set()
    for name, value in found.items():
        if prefix or name not in ("defaults", "_target_"):
            inner = settings(value, f"{prefix}{name}.") if isinstance(value, dict) and value else set()
            names |= inner or {f"{prefix}{name}"}
    return {name for name in names if "." not in name or prefix}


def test_a_setting_has_its_value_and_its_comment(tmp_path):
    (tmp_path / "x.yaml").write_text(
        "# What it is:\n# two lines.\ndefaults: [_base]\nlr: 3e-5  # of AdamW, as in [1]\nprompt:  # how to ask\n"
        '  words: [" a#", "b"]  # of class 0 | 1\n'
    )
    about, fields = read_fields(tmp_path / "x.yaml")
    assert about == "What it is:\ntwo lines."
    assert [(f.name, f.value, f.about) for f in fields] == [
        ("lr", "3e-5", "of AdamW, as in [1]"),
        ("prompt", "", "how to ask"),
        ("prompt.words", '[" a#", "b"]', "of class 0 | 1"),
    ]
    assert quote("a_b `c_d` [1] | 2") == "a\\_b `c_d` \\[1\\] \\| 2"
