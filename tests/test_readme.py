"""What the README says is run."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import ROOT, Built
from tests.outside import outside

_README = (ROOT / "README.md").read_text("utf-8")
_BLOCKS = re.findall(r"```python\n(.*?)```", _README, re.DOTALL)


def _python(code: list[str], cwd: Path, home: Path) -> subprocess.CompletedProcess[str]:
    environment = outside() | {"LAKE_HOME": str(home)}
    return subprocess.run([sys.executable, *code], cwd=cwd, env=environment, capture_output=True, text=True, timeout=120, check=False)


def test_the_readme_opens_the_lake_as_shown(flights_lake: Built) -> None:
    """The block that opens the lake runs as it stands."""
    (block,) = [block for block in _BLOCKS if "lake.open()" in block]
    done = _python(["-c", block], ROOT, flights_lake.settings.home)
    assert done.returncode == 0, done.stderr
    assert "mean_delay" in done.stdout
    assert "silver.nyc.flights" in done.stdout


def test_a_reader_declares_a_table_as_shown(tmp_path: Path) -> None:
    """The three files under `Your own table`, put into a new project with a CSV file, make a silver table and set bad rows aside."""
    for block in _BLOCKS:
        if found := re.match(r"# (flows/shop/\w+\.py)\n", block):
            path = tmp_path / found[1]
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(block, "utf-8")
    (tmp_path / "pyproject.toml").write_text("[tool.lake]\n", "utf-8")
    (tmp_path / "inbox" / "orders").mkdir(parents=True)
    (tmp_path / "inbox" / "orders" / "monday's orders.csv").write_text("order,amount\n" + "".join(f"{i},{i}.50\n" for i in range(1, 20)) + "20,lots\n", "utf-8")
    done = _python(["-m", "lake", "run", "shop", "--no-prefect"], tmp_path, tmp_path / ".lake")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "20 read, 19 inserted, 1 rejected" in done.stdout
    assert "release 1" in done.stdout
    shown = _python(["-m", "lake", "rejects", "silver.shop.orders"], tmp_path, tmp_path / ".lake")
    assert "amount|dtype" in shown.stdout
    assert "monday's orders.csv.zst:20" in shown.stdout


_LOOKING = next(block for block in re.findall(r"```sh\n(.*?)```", _README, re.DOTALL) if "lake ls " in block)


@pytest.mark.parametrize("command", re.findall(r"^(lake \w+[^#\n]*?) +#", _LOOKING, re.MULTILINE))
def test_each_command_shown_works_on_the_demo(flights_lake: Built, command: str) -> None:
    """The commands under `Then look around` answer."""
    done = _python(["-m", *command.split()], ROOT, flights_lake.settings.home)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip()


def test_the_trace_shown_is_what_the_demo_says(flights_lake: Built) -> None:
    """The trace in the README is, line for line, what the command prints."""
    ((command, shown),) = re.findall(r"```console\n\$ (lake trace [^\n]*)\n(.*?)```", _README, re.DOTALL)
    done = _python(["-m", *command.split()], ROOT, flights_lake.settings.home)
    assert done.returncode == 0, done.stderr
    told = [line.rstrip() for line in done.stdout.splitlines()]
    assert shown.splitlines() == told[:-1]
    assert told[-1].startswith("read: ")


@pytest.mark.slow
def test_what_is_shown_under_break_it_works(tmp_path: Path) -> None:
    """A killed run, its retry, a range, a rollback that holds, a replay and a verification: the very lines of the README, in order, on a lake of their own."""
    block = _README.split("## Break it")[1].split("```sh\n")[1].split("```")[0]
    home = tmp_path / "home"
    first = _python(["-m", "lake", "run", "nyc", "--no-prefect"], ROOT, home)
    assert first.returncode == 0, first.stderr
    shell = f'set -e\nlake() {{ "{sys.executable}" -m lake "$@"; }}\n' + block.replace(
        "timeout -s KILL 1.5 lake", f'timeout -s KILL 1.5 "{sys.executable}" -m lake'
    )
    environment = outside() | {"LAKE_HOME": str(home)}
    done = subprocess.run(["sh", "-c", shell], cwd=ROOT, env=environment, capture_output=True, text=True, timeout=400, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "nyc: release 2" in done.stdout
    assert "nyc: release 3" in done.stdout, "the range"
    assert "nyc: release 4 is held" in done.stdout
    assert "release 5: nothing is held" in done.stdout
    assert "equal" in done.stdout
    assert "differs" not in done.stdout


def test_the_environment_script_names_only_what_is_there() -> None:
    """The Makefile's targets run scripts that exist and parse as POSIX shell."""
    for script in (ROOT / "scripts").glob("*.sh"):
        assert subprocess.run([shutil.which("sh") or "sh", "-n", str(script)], check=False).returncode == 0
        assert str(script.relative_to(ROOT)) in (ROOT / "Makefile").read_text("utf-8")
