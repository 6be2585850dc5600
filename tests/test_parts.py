"""What runs where a lake runs: one description, and three places that must say the same. Nothing is started here but `--help`."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from prefect.settings import Settings as PrefectSettings
from prefect.settings.legacy import _get_settings_fields

from lake.cli.up import _parts
from lake.parts import PARTS, part_called
from lake.prefect_server import server_environment
from lake.settings import VARIABLES, load_settings
from lake.supervisor import Process
from tests.places import SYSTEMD, Placed, placed, variables

RUN = [part for part in PARTS if part.command]
PLACED = placed()
_PLAIN = {"DO_NOT_TRACK", "PYTHONUNBUFFERED"}
_KEYS = {"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"}

each_placed = pytest.mark.parametrize("one", PLACED, ids=lambda one: f"{one.place}-{one.part}")


def test_every_place_runs_every_part() -> None:
    """The units, the manifests and the compose file each run Prefect, the worker, the watcher and the metrics, and nothing else of lake's."""
    for place in ("compose", "systemd", "kubernetes"):
        assert sorted(one.part for one in PLACED if one.place == place) == sorted(part.name for part in RUN)


def test_up_runs_what_is_described(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """`lake up` runs the parts that are described, in their order, the store and Prefect first, by the commands that servers use."""
    monkeypatch.setenv("PREFECT_API_URL", "http://127.0.0.1:1/api")
    parts = _parts(load_settings(home=tmp_path, endpoint="http://127.0.0.1:1"), tmp_path)
    assert [part.name for part in parts] == [part.name for part in PARTS]
    commands = {part.name: tuple(part.command[2 : 2 + len(part_called(part.name).command)]) for part in parts if isinstance(part, Process)}
    assert commands == {part.name: part.command for part in PARTS if part.is_ours}
    assert [part.name for part in parts if isinstance(part, Process) and "--port" in part.command] == [
        part.name for part in PARTS if part.is_ours and part.port
    ]


@pytest.mark.parametrize("part", RUN, ids=lambda part: part.name)
def test_every_command_exists(part: object) -> None:
    """Every part's command is one that is installed, and takes the options that a place gives it."""
    described = next(known for known in RUN if known is part)
    told = subprocess.run([sys.executable, "-m", *described.command, "--help"], capture_output=True, text=True, timeout=60, check=False)
    assert told.returncode == 0, told.stderr
    options = {word for one in PLACED if one.part == described.name for word in one.command if word.startswith("--")}
    assert {option for option in options if option not in told.stdout} == set()


@each_placed
def test_a_place_uses_the_described_command(one: Placed) -> None:
    """A place starts a part by the described command; what follows says where to listen, at the described port."""
    part = part_called(one.part)
    assert tuple(one.command[: len(part.command)]) == part.command
    rest = one.command[len(part.command) :]
    given = dict(zip(rest[::2], rest[1::2], strict=True))
    assert set(given) <= {"--host", "--port"}
    port = given.get("--port", one.environment.get("PREFECT_SERVER_API_PORT"))
    assert port == (str(part.port) if part.port else None)


@each_placed
def test_a_place_gives_the_described_environment(one: Placed) -> None:
    """A part has in its environment what is described, wherever it runs; of the Prefect server that is `server_environment()`, to the letter."""
    described = part_called(one.part).environment(load_settings())
    assert {name: one.environment.get(name) for name in described} == described
    if one.part == "prefect":
        tuned = {name for name in one.environment if name.startswith(("PREFECT_SERVER_SERVICES_", "PREFECT_SERVER_A", "PREFECT_SERVER_CSRF", "DO_NOT"))} - {
            "PREFECT_SERVER_API_AUTH_STRING",
            "PREFECT_SERVER_API_HOST",
            "PREFECT_SERVER_API_PORT",
        }
        assert {name: one.environment[name] for name in tuned} == server_environment(load_settings())


@each_placed
def test_a_part_is_told_where_what_it_needs_is(one: Placed) -> None:
    """A part that needs the store gets its address, bucket, environment and keys; one that needs Prefect its API; and the server gets its database, and no keys."""
    needs = part_called(one.part).needs
    asked: set[str] = set()
    if "store" in needs:
        asked |= {"AWS_ENDPOINT_URL", "LAKE_BUCKET", "LAKE_ENV", "LAKE_HOME", *_KEYS}
    if "prefect" in needs:
        asked |= {"PREFECT_API_URL", "PREFECT_API_AUTH_STRING"}
    if one.part == "prefect":
        asked |= {"PREFECT_API_DATABASE_CONNECTION_URL", "PREFECT_UI_STATIC_DIRECTORY"}
        asked |= {"PREFECT_SERVER_API_AUTH_STRING", "PREFECT_SERVER_CORS_ALLOWED_ORIGINS"}
        assert not _KEYS & one.everything.keys()
    else:
        assert "PREFECT_API_DATABASE_CONNECTION_URL" not in one.everything
    assert asked - one.everything.keys() == set()


@each_placed
def test_every_variable_is_known(one: Placed) -> None:
    """Every variable that a part is given is one that lake or Prefect reads: a slip in a name would go unnoticed for months."""
    known = {variable for names in VARIABLES.values() for variable in names} | set(_get_settings_fields(PrefectSettings)) | _PLAIN
    assert one.everything.keys() - known == set()


@each_placed
def test_prefect_takes_every_value(one: Placed, monkeypatch: pytest.MonkeyPatch) -> None:
    """Prefect's own settings accept the values that they are given."""
    for name, value in one.everything.items():
        monkeypatch.setenv(name, value)
    settings = PrefectSettings()
    if one.part == "prefect":
        assert settings.server.services.db_vacuum.enabled_vacuum_types == {"events", "flow_runs", "orphans"}
        assert settings.server.services.db_vacuum.retention_period == load_settings().prefect_retention
        assert settings.server.ui.static_directory == one.environment["PREFECT_UI_STATIC_DIRECTORY"]
    elif "prefect" in part_called(one.part).needs:
        assert settings.api.url == one.environment["PREFECT_API_URL"]


def test_the_example_shows_every_setting() -> None:
    """The environment files of the units show every setting there is, set or commented out, and the secret ones only where secrets are."""
    shown = {name for file in ("lake.env", "secrets.env.example") for name in variables(SYSTEMD / "etc" / file, also_commented=True)}
    by_setting = {name: [variable for variable in names if variable in shown] for name, names in VARIABLES.items()}
    assert [name for name, found in by_setting.items() if not found] == ["prefect_database"], "of `lake up` only: the server's own file has the address"
    open_to_all = variables(SYSTEMD / "etc" / "lake.env", also_commented=True)
    secrets = ("access_key_id", "secret_access_key", "session_token", "backup_access_key_id", "backup_secret_access_key", "notify", "prefect_database")
    secret = {variable for name in secrets for variable in VARIABLES[name]}
    assert secret & open_to_all.keys() == set()


def test_the_defaults_that_are_shown_are_the_defaults(monkeypatch: pytest.MonkeyPatch) -> None:
    """A commented line of the example shows the default: with all of them set, the settings are what they are without."""
    plain = load_settings()
    set_there = variables(SYSTEMD / "etc" / "lake.env")
    for name, value in variables(SYSTEMD / "etc" / "lake.env", also_commented=True).items():
        if name not in set_there:
            monkeypatch.setenv(name, value)
    assert load_settings() == plain
