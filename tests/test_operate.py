"""docs/operate.md says what is so: the parts, the files, the commands, the metrics and every alert."""

from __future__ import annotations

import re

import pytest

from lake.cli import cli
from lake.orchestration.automations import PREFIX, automations
from lake.parts import PARTS
from lake.settings import VARIABLES, load_settings
from tests.conftest import ROOT

PAGE = (ROOT / "docs" / "operate.md").read_text("utf-8")
SHIPPED = [one.name.removeprefix(PREFIX) for one in automations(load_settings(root=ROOT), [], {}, None)]


def rows(title: str) -> list[list[str]]:
    """The cells of the table under a heading of the page."""
    (section,) = re.findall(rf"^## {re.escape(title)}\n(.*?)(?=^## |\Z)", PAGE, re.MULTILINE | re.DOTALL)
    lines = [line for line in section.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]


def test_every_alert_is_told() -> None:
    """The page has every automation that lake ships whatever flows there are, what it means and what to do, and no other."""
    told = {alert: (means, then) for alert, means, then in rows("Alerts")}
    assert sorted(told) == sorted(SHIPPED)
    assert [alert for alert, words in told.items() if not all(words)] == []


def test_the_parts_are_told() -> None:
    """The table of parts is what lake/parts.py describes."""
    told = {name.lower(): (command.strip("`"), port, needs.lower()) for name, command, port, needs in rows("From a laptop to a server")}
    names = {"watch": "watcher"}
    assert list(told) == [names.get(part.name, part.name) for part in PARTS]
    for part in PARTS:
        command, port, needs = told[names.get(part.name, part.name)]
        if part.command:
            assert (command, port) == (" ".join(part.command), str(part.port or ""))
            assert tuple(needs.split(", ")) == (part.needs or ("a database",))


@pytest.mark.parametrize("named", sorted(set(re.findall(r"\binfra/[\w./*-]+[\w*]", PAGE))))
def test_the_files_exist(named: str) -> None:
    """Every file under infra/ that the page names is there; the one that is made from an example has its example."""
    assert list(ROOT.glob(named)) or (ROOT / f"{named}.example").exists()


def test_the_commands_exist() -> None:
    """Every `lake …` command that the page names is one."""
    named = set(re.findall(r"(?<![\w/.-])`?lake ([a-z]+)\b", " ".join(re.findall(r"`[^`\n]+`", PAGE))))
    assert {"doctor", "verify", "worker", "rejects"} <= named
    assert named - set(cli.commands) - set(cli.list_commands(None)) == set()  # type: ignore[arg-type]  # the names need no context


def test_the_variables_exist() -> None:
    """Every LAKE_* variable that the page names is one that lake reads."""
    known = {variable for names in VARIABLES.values() for variable in names}
    assert set(re.findall(r"\bLAKE_[A-Z_]+\b", PAGE)) - known == set()


def test_the_guide_has_every_setting() -> None:
    """The guide, which the page sends people to, explains every variable of every setting."""
    guide = (ROOT / "docs" / "guide.md").read_text("utf-8")
    assert [name for name, variables in VARIABLES.items() if not any(f"`{variable}`" in guide for variable in variables)] == []


def test_the_metrics_exist() -> None:
    """Every metric that the page says to watch is one that the guide lists."""
    guide = (ROOT / "docs" / "guide.md").read_text("utf-8")
    named = {metric for row in rows("What to watch") for metric in re.findall(r"\blake_[a-z_]+\b", row[0])}
    assert {"lake_up", "lake_table_fresh"} <= named
    assert {metric for metric in named if f"`{metric}" not in guide} == set()
