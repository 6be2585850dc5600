"""What lake is called where it is installed from: every text that names an install names this one, and extras that there are."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from lake.errors import SettingsError
from lake.orchestration.spread import spreading
from lake.settings import load_settings
from lake.version import DISTRIBUTION, installing, version
from tests.conftest import ROOT

_PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
_TEXTS = {".py", ".md", ".toml", ".sh", ".yaml", ".yml", ".service", ".txt", ".cfg", ".html", ".js", ".ipynb", ".json", ""}
_LEFT_OUT = {".git", ".venv", ".lake", "vendor", "__pycache__", "requirements", "published", "corpus"}
_INSTALLS = re.compile(r"(?:pip3?|uv|uvx|pipx|poetry|conda|mamba)\s+(?:pip\s+)?(?:install|add|run --with|tool install)\s+(?P<what>[^\n`]*)")
_OF_LAKE = re.compile(r"""(?<![\w.'"\[-])["']lake\[(?P<extra>\w+)\]["']|(?<![\w.-])lake(?:==|>=|~=)\d""")
_OWN_TOOLS = ("--no-cache-dir uv==", '"uv>=', "--quiet", "--no-deps", "--require-hashes", "--disable-pip-version-check", "-e '.[")
"""How scripts install what a lock names by its hash, and what reads locks; and how a new project installs itself."""
_TOLD_OF_TEAMS = "{(error.name"
"""A module that a team's own file imports, and that is not there, is told by the name that the file has for it."""


def _texts() -> Iterator[tuple[Path, str]]:
    for path in sorted(ROOT.rglob("*")):
        if path.suffix in _TEXTS and path.is_file() and not _LEFT_OUT & set(path.relative_to(ROOT).parts) and path != Path(__file__):
            yield path.relative_to(ROOT), path.read_text("utf-8", errors="replace")


def test_the_distribution_has_its_own_name() -> None:
    """It is called ledgerlake, installed under that name, imported and typed as lake."""
    assert (_PROJECT["name"], DISTRIBUTION) == ("ledgerlake", "ledgerlake")
    assert version() == _PROJECT["version"]
    assert set(_PROJECT["scripts"]) == {"lake"}


def test_no_text_names_an_install_that_is_not_this() -> None:
    """Guide, errors, scripts, images and units install lake by its name, with extras that there are, and nothing else by name."""
    named = []
    for path, text in _texts():
        for found in _INSTALLS.finditer(text):
            what = found["what"].strip().strip("'\"")
            if what.startswith(DISTRIBUTION):
                named += re.findall(r"ledgerlake\[(\w+)\]", what)
            elif "{DISTRIBUTION}" not in what and not path.is_relative_to("tests"):
                assert what.startswith(_OWN_TOOLS) or _TOLD_OF_TEAMS in what, f"{path}: {found[0]}"
        assert not _OF_LAKE.search(text), f"{path} installs what is called lake: {_OF_LAKE.search(text)}"
        named += re.findall(r"ledgerlake\[(\w+)\]", text)
    assert named
    assert set(named) <= set(_PROJECT["optional-dependencies"])


def test_nobody_asks_for_the_version_of_another() -> None:
    """No code asks for the metadata of a distribution called lake."""
    asked = re.compile(r"""(?:version|distribution|metadata|requires|files)\(\s*["']lake["']|package_name\s*=\s*["']lake["']""")
    assert [str(path) for path, text in _texts() if path.suffix == ".py" and asked.search(text)] == []


@pytest.mark.parametrize("extra", sorted(_PROJECT["optional-dependencies"]))
def test_an_extra_is_installed_by_this_name(extra: str) -> None:
    """What an error tells to install is what pyproject.toml has."""
    assert installing(extra) == f"pip install 'ledgerlake[{extra}]'"


def test_an_engine_that_is_not_there_says_how_it_is_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    """An engine of several machines that is not installed is named with the command that installs it."""
    monkeypatch.setitem(__import__("sys").modules, "prefect_dask", None)
    with pytest.raises(SettingsError, match=r"pip install 'ledgerlake\[dask\]'"), spreading(load_settings(engine="dask")):
        pass
