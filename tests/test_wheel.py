"""lake as it is installed: the wheel has all that the packages hold, and works in an environment that knows nothing of this checkout."""

from __future__ import annotations

import json
import subprocess
import sys
import sysconfig
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from lake.embedded import weed_binary
from lake.version import version
from tests.conftest import ROOT
from tests.outside import outside

Command = Callable[..., str]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built from the checkout."""
    folder = tmp_path_factory.mktemp("dist")
    subprocess.run([sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)], cwd=ROOT, check=True, capture_output=True, timeout=120)
    (found,) = folder.glob("*.whl")
    return found


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The scripts of an environment in which the wheel is installed, beside the packages that lake needs and that are here already."""
    home = tmp_path_factory.mktemp("an environment")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(home)], check=True, timeout=60)
    scripts = home / ("Scripts" if sys.platform == "win32" else "bin")
    python = scripts / "python"
    install = [sys.executable, "-m", "pip", "--python", str(python), "install", "--quiet", "--no-deps", "--no-index", "--no-compile", str(wheel)]
    subprocess.run([*install, "--disable-pip-version-check"], check=True, timeout=120)
    packages = subprocess.run([str(python), "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"], check=True, capture_output=True, text=True)
    # a folder named in a .pth is searched, but its own .pth files are not read: this checkout, installed there as editable, stays unknown
    (Path(packages.stdout.strip()) / "needed.pth").write_text("\n".join({sysconfig.get_path(kind) for kind in ("purelib", "platlib")}), "utf-8")
    (scripts / Path(weed_binary()).name).symlink_to(weed_binary())  # what the wheel of the embedded store puts there
    return scripts


@pytest.fixture
def command(installed: Path, tmp_path: Path) -> Command:
    """Runs a script of the environment in a folder of its own, and returns what it prints."""

    def typed(name: str, *arguments: str, cwd: Path = tmp_path) -> str:
        done = subprocess.run(
            [str(installed / name), *arguments], cwd=cwd, env=outside(), capture_output=True, text=True, encoding="utf-8", timeout=120, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    return typed


def test_the_wheel_has_every_file_of_the_packages(wheel: Path) -> None:
    """Modules, the mark of types, pages with all they show; nothing else, and no flow of the demo."""
    here = {path.relative_to(ROOT).as_posix() for path in (ROOT / "lake").rglob("*") if path.is_file() and "__pycache__" not in path.parts}
    names = set(zipfile.ZipFile(wheel).namelist())
    assert {name for name in names if ".dist-info/" not in name} == here
    assert {"lake/py.typed", "lake/site/templates/base.html", "lake/site/static/vendor/cytoscape.min.js"} <= names


def test_a_project_is_made_and_run_from_the_wheel(command: Command, installed: Path, tmp_path: Path) -> None:
    """`lake init shop --from FILE && lake run shop` where nothing else is: gold has its counts, pages are written, and no code came from the checkout."""
    (tmp_path / "orders.csv").write_text("order,customer,amount\n1,Ann,2.50\n2,Bob,3.50\n3,Ann,1.00\n4,Ann,1.00\n", "utf-8")
    command("lake", "init", "shop", "--from", "orders.csv")
    assert f'"ledgerlake=={version()}"' in (tmp_path / "shop" / "pyproject.toml").read_text("utf-8")
    assert "gold.shop.orders_by_customer" in command("lake", "run", "shop", "--no-prefect")
    look = """
import json, sys
import lake
with lake.open() as opened:
    rows = opened["gold.shop.orders_by_customer"].scan().collect().sort("customer").rows()
print(json.dumps([rows, [made.__file__ for name, made in sys.modules.items() if name.split(".")[0] == "lake" and made.__file__], sys.path]))
"""
    rows, places, path = json.loads(command("python", "-c", look, cwd=tmp_path / "shop").splitlines()[-1])
    assert rows == [["Ann", 3], ["Bob", 1]]
    assert len(places) > 10
    assert {place for place in places if not Path(place).resolve().is_relative_to(installed.parent.resolve())} == set()
    assert str(ROOT) not in path
    command("lake", "docs", "--out", "site", cwd=tmp_path / "shop")
    assert (tmp_path / "shop" / "site" / "index.html").exists()
