"""The systemd units under infra/systemd: what systemd itself says of them, and what keeps them in their place."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.places import SYSTEMD, unit, values

UNITS = sorted(SYSTEMD.glob("lake-*.service"))
COMMON = unit(SYSTEMD / "lake-.service.d" / "common.conf")
_LATER = re.compile(r"Unknown key (name )?'(RestartSteps|RestartMaxDelaySec)' in section \[?'?Service\]?'?, ignoring")  # known from systemd 254 on

each_unit = pytest.mark.parametrize("file", UNITS, ids=lambda file: file.stem)
needs_systemd = pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd-analyze is not installed: scripts/systemd.sh brings it")


@pytest.fixture
def installed(tmp_path: Path) -> Path:
    """The units as if installed, with this project in place of /opt/lake."""
    folder = tmp_path / "units"
    shutil.copytree(SYSTEMD, folder)
    programs = tmp_path / "programs"  # a command of a unit has no spaces, and the folder of this project may
    programs.symlink_to(Path(sys.executable).parent)
    for file in folder.rglob("*"):
        if file.is_file():
            text = file.read_text("utf-8").replace("/opt/lake/.venv/bin", str(programs)).replace("/opt/lake", str(tmp_path))
            file.write_text(text, "utf-8")
    return folder


def analyze(folder: Path, *arguments: str) -> tuple[int, str]:
    """What systemd-analyze says of the units in `folder`: its exit code, and its words without those about keys it is too old for."""
    environment = os.environ | {"SYSTEMD_UNIT_PATH": f"{folder}:", "SYSTEMD_LOG_LEVEL": "warning", "LC_ALL": "C"}
    told = subprocess.run(["systemd-analyze", *arguments], env=environment, capture_output=True, text=True, timeout=60, check=False)
    return told.returncode, "\n".join(line for line in (told.stdout + told.stderr).splitlines() if not _LATER.search(line))


@needs_systemd
def test_systemd_takes_the_units(installed: Path) -> None:
    """systemd-analyze finds nothing to say about the target and its services: keys, values, commands, and the units they name."""
    files = [str(file) for file in (*sorted(installed.glob("*.service")), installed / "lake.target")]
    assert analyze(installed, "verify", "--man=no", *files) == (0, "")


@needs_systemd
def test_the_check_would_find_a_slip(installed: Path) -> None:
    """A key that does not exist, and a program that is not there, are found."""
    file = installed / "lake-worker.service"
    file.write_text(file.read_text("utf-8").replace("TimeoutStopSec", "TimeoutStop_Sec").replace("programs/lake", "programs/lake2"), "utf-8")
    _, told = analyze(installed, "verify", "--man=no", str(file))
    assert "TimeoutStop_Sec" in told
    assert "lake2" in told


@needs_systemd
@each_unit
def test_a_unit_has_few_rights(installed: Path, file: Path) -> None:
    """By systemd's own measure a unit is hardly exposed: below 2 of 10, where a plain unit has 9.6."""
    code, told = analyze(installed, "security", "--offline=yes", "--threshold=20", "--no-pager", str(installed / file.name))
    assert code == 0, told[-300:]


@each_unit
def test_a_unit_is_part_of_the_target(file: Path) -> None:
    """The target starts each unit, is stopped with all of them, and each is started with it."""
    target = unit(SYSTEMD / "lake.target")
    assert file.name in " ".join(values(target, "Unit", "Wants")).split()
    assert values(COMMON, "Unit", "PartOf") == ["lake.target"]
    assert values(unit(file), "Install", "WantedBy") == ["lake.target"]


@each_unit
def test_a_unit_is_started_again_for_ever(file: Path) -> None:
    """A part that dies is started again however often; nothing in a unit undoes what all have in common but the time it is given to stop."""
    common = dict(COMMON["Service"])
    assert (common["Restart"], common["KillMode"], values(COMMON, "Unit", "StartLimitIntervalSec")) == ("always", "mixed", ["0"])
    own = {key for key, _ in unit(file)["Service"]}
    assert own & common.keys() <= {"Environment", "TimeoutStopSec"}


@each_unit
def test_no_unit_holds_a_secret(file: Path) -> None:
    """Keys and passwords come from files that root alone reads: no unit names one, and their examples hold placeholders."""
    named = " ".join(values(unit(file), "Service", "Environment"))
    assert not re.search(r"SECRET|PASSWORD|TOKEN|_KEY|://[^/\s]*@", named)
    for name in values(unit(file), "Service", "EnvironmentFile"):
        example = SYSTEMD / "etc" / f"{Path(name).name}.example"
        if example.exists():
            text = example.read_text("utf-8")
            assert "0600" in text
            assert [line for line in text.splitlines() if "=" in line and not line.startswith("# ") and "replace-me" not in line] == []


@each_unit
def test_a_unit_writes_where_it_may(file: Path) -> None:
    """With the system read-only, the homes that a unit is told are in the state folder that systemd gives it."""
    (state,) = values(unit(file), "Service", "StateDirectory")
    homes = re.findall(r"(?:PREFECT_HOME|PREFECT_UI_STATIC_DIRECTORY)=(\S+)", " ".join(values(unit(file), "Service", "Environment")))
    assert homes
    assert [home for home in homes if not f"{home}/".startswith(f"/var/lib/{state}/")] == []
