"""Files about the project: the lock file meets what is asked for, containers copy what is there, and the like."""

import re
import shlex
import subprocess
import tomllib
from importlib import metadata
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

from containers.lock import closure, write
from w2s_sweep.version import __version__

ROOT = Path(__file__).parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
LOCK = dict(
    line.split("==")
    for line in (ROOT / "requirements.lock").read_text().splitlines()
    if line and not line.startswith("#")
)


def test_the_lock_file_has_every_package_in_a_version_that_the_project_allows():
    for wanted in map(Requirement, PROJECT["dependencies"]):
        assert wanted.specifier.contains(LOCK[canonicalize_name(wanted.name)], prereleases=True), wanted
    torch = re.search(r"^TORCH \?= torch==(\S+)", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert torch is not None
    assert LOCK["torch"] == torch[1]


def test_the_lock_file_names_versions_and_no_place(tmp_path, monkeypatch):
    text = (ROOT / "requirements.lock").read_text()
    assert re.fullmatch(r"(#.*\n)+([a-z0-9-]+==[\w.]+\n)+", text)
    assert "://" not in text
    monkeypatch.setattr("containers.lock.PROJECT", "pydantic")
    write(tmp_path / "lock")
    assert re.fullmatch(r"(#.*\n)+([a-z0-9-]+==[\w.]+\n)+", (tmp_path / "lock").read_text())


def test_what_a_package_needs_is_followed_to_the_end():
    found = closure("pydantic")
    assert {"pydantic-core", "annotated-types", "typing-extensions"} <= found.keys()
    assert found["pydantic-core"] == metadata.version("pydantic-core")
    assert "pydantic" not in found
    assert "email-validator" not in found  # of an extra that nobody asked for


def copied() -> dict[str, list[str]]:
    docker = re.findall(r"^COPY (.+) \S+$", (ROOT / "containers" / "Dockerfile").read_text(), re.MULTILINE)
    apptainer = re.findall(r"^    (\S+) /src/", (ROOT / "containers" / "apptainer.def").read_text(), re.MULTILINE)
    return {"Dockerfile": [name for names in docker for name in names.split()], "apptainer.def": apptainer}


@pytest.mark.parametrize("recipe", ["Dockerfile", "apptainer.def"])
def test_a_container_has_what_the_package_is_built_from(recipe):
    names = copied()[recipe]
    assert set(names) == {"requirements.lock", "pyproject.toml", "README.md", "LICENSE", "conf", "w2s_sweep"}
    assert all((ROOT / name).exists() for name in names)
    assert {f"!{name}" for name in names} <= set((ROOT / ".dockerignore").read_text().splitlines())


@pytest.mark.parametrize("recipe", ["Dockerfile", "apptainer.def"])
def test_the_commands_of_a_container_install_what_was_copied_and_run_what_there_is(recipe):
    """No image is built here; what its commands name is there, and its Python is one that the package allows."""
    text = (ROOT / "containers" / recipe).read_text()
    said = re.findall(r"^(?:RUN| {4})\s*(pip install .+|w2s .+)$", text, re.MULTILINE)
    words = [shlex.split(part) for line in said for part in line.split(" && ")]
    assert [one[:2] for one in words] == [["pip", "install"], ["pip", "install"], ["w2s", "--version"]]
    assert Path(words[0][-1]).name in copied()[recipe]
    assert "-r" in words[0]
    assert words[1][-2:] in (["--no-deps", "."], ["--no-deps", "/src"])
    (python,) = re.findall(r"python:([\d.]+)-slim", text)
    assert python in (ROOT / "requirements.lock").read_text().splitlines()[0]
    assert SpecifierSet(PROJECT["requires-python"]).contains(python)
    assert f"containers/{recipe}" in text  # the command in its head


def test_the_citation_is_of_this_version():
    cff = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert {"cff-version", "message", "title", "authors"} <= cff.keys()  # what the format requires
    assert str(cff["version"]) == __version__ == PROJECT["version"]
    assert cff["license"] == "Apache-2.0"
    assert all(author.keys() & {"name", "family-names"} for author in cff["authors"])


def test_the_newest_release_notes_are_of_this_version():
    heads = re.findall(r"^## (\S+)", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert heads[0] == __version__


def test_what_runs_before_a_commit_is_what_make_check_runs():
    hooks = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())["repos"]
    local = {hook["id"]: hook["entry"] for repo in hooks if repo["repo"] == "local" for hook in repo["hooks"]}
    assert set(local) == {"ruff-format", "ruff"}
    check = subprocess.run(["make", "-n", "check"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    for entry in local.values():
        assert entry.split(" --")[0] in check
