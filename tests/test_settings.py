"""Where settings come from, which one wins, and what is said when one is wrong."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from lake.errors import SettingsError
from lake.settings import VARIABLES, Settings, load_settings, project_root

SECRET = "vErY-sEcReT-iNdEeD"


def project(folder: Path, text: str = "") -> Path:
    """A project in `folder` whose [tool.lake] says `text`."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "pyproject.toml").write_text(f'[project]\nname = "x"\n\n[tool.lake]\n{text}\n', "utf-8")
    return folder


@pytest.fixture(autouse=True)
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty project, and the working directory in it; its path has a space."""
    folder = project(tmp_path / "my project")
    monkeypatch.chdir(folder)
    return folder


# --- precedence

CASES: list[tuple[str, Any, Any]] = [
    ("env", "prod", "uat"), ("bucket", "bucket-a", "bucket-b"), ("flows", "flows_a", "flows_b"), ("endpoint", "http://a:1", "https://b"),
    ("region", "eu-west-1", "eu-west-2"), ("threads", 3, 4), ("home", Path("a"), Path("b")),
]  # fmt: skip


def test_without_any_setting_the_defaults_hold(root: Path) -> None:
    """An empty project has an embedded store, the dev environment and no keys."""
    settings = load_settings()
    assert settings == Settings(root=root)
    assert (settings.env, settings.bucket, settings.flows, settings.region, settings.threads) == ("dev", "lake", "flows", "us-east-1", 2)
    assert settings.embedded
    assert settings.endpoint is None
    assert (settings.access_key_id, settings.secret_access_key, settings.session_token) == (None, None, None)
    assert settings.state == root / ".lake"


@pytest.mark.parametrize(("name", "one", "other"), CASES)
def test_each_source_beats_the_next(root: Path, monkeypatch: pytest.MonkeyPatch, name: str, one: Any, other: Any) -> None:
    """An override beats the variable, the variable beats [tool.lake], and that beats the default."""
    default = getattr(load_settings(), name)
    written = one if isinstance(one, int) else f'"{one}"'
    project(root, f"{name} = {written}")
    assert getattr(load_settings(), name) == one
    monkeypatch.setenv(VARIABLES[name][0], str(other))
    assert getattr(load_settings(), name) == other
    assert getattr(load_settings(**{name: one}), name) == one
    assert getattr(load_settings(**{name: None}), name) == other
    project(root)
    monkeypatch.delenv(VARIABLES[name][0])
    assert getattr(load_settings(), name) == default


@pytest.mark.parametrize("name", [name for name, variables in VARIABLES.items() if len(variables) > 1])
def test_the_first_variable_that_is_set_wins(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """LAKE_ENDPOINT beats AWS_ENDPOINT_URL_S3, which beats AWS_ENDPOINT_URL; LAKE_REGION beats AWS_REGION and AWS_DEFAULT_REGION."""
    for variable in reversed(VARIABLES[name]):
        value = f"http://{variable.lower().replace('_', '-')}"
        monkeypatch.setenv(variable, value)
        assert getattr(load_settings(), name) == value


def test_lake_variables_come_before_those_of_aws() -> None:
    """Whoever says LAKE_ means this lake, whatever AWS_ variables are about."""
    for variables in VARIABLES.values():
        prefixes = [variable.split("_")[0] for variable in variables]
        assert prefixes == sorted(prefixes, reverse=True)
        assert set(prefixes) <= {"LAKE", "AWS"}


def test_keys_come_from_the_variables_of_aws(monkeypatch: pytest.MonkeyPatch) -> None:
    """The three AWS_ variables that every S3 client reads give the keys."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "id")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
    monkeypatch.setenv("AWS_SESSION_TOKEN", "token")
    settings = load_settings()
    found = (settings.access_key_id, settings.secret_access_key, settings.session_token)
    assert [value.get_secret_value() if value else None for value in found] == ["id", SECRET, "token"]


def test_an_empty_variable_is_not_set(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`LAKE_ENV= lake run` means the same as not naming it."""
    project(root, 'env = "uat"')
    for variables in VARIABLES.values():
        for variable in variables:
            monkeypatch.setenv(variable, "")
    assert load_settings() == Settings(root=root, env="uat")


@pytest.mark.parametrize("name", ["root", *VARIABLES])
def test_bare_names_in_the_environment_mean_nothing(root: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """HOME, ENV, BUCKET and the like belong to others: neither case is read, and there is no LAKE_ROOT."""
    plain = load_settings()
    for variable in (name.upper(), name.lower(), f"lake_{name}"):
        monkeypatch.setenv(variable, "/elsewhere")
    assert load_settings() == plain
    assert plain.root == root


@pytest.mark.parametrize("name", ["LAKE_ROOT", "LAKE_ACCESS_KEY_ID", "LAKE_SECRET_ACCESS_KEY", "LAKE_SESSION_TOKEN"])
def test_variables_that_are_not_in_the_table_mean_nothing(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """Only the variables that VARIABLES lists are read."""
    plain = load_settings()
    monkeypatch.setenv(name, "elsewhere")
    assert load_settings() == plain


# --- bad values

BAD: list[tuple[str, str, str]] = [
    ("LAKE_ENV", "Prod", "env"), ("LAKE_ENV", "a/b", "env"), ("LAKE_ENV", "x" * 32, "env"), ("LAKE_ENV", "../dev", "env"), ("LAKE_BUCKET", "ab", "bucket"),
    ("LAKE_BUCKET", "b" * 64, "bucket"), ("LAKE_THREADS", "0", "threads"), ("LAKE_THREADS", "65", "threads"), ("LAKE_THREADS", "two", "threads"),
    ("LAKE_THREADS", "1.5", "threads"), ("LAKE_MEMORY", "much", "memory"), ("LAKE_MEMORY", "0", "memory"), ("LAKE_ENDPOINT", "localhost:9000", "endpoint"), ("AWS_ENDPOINT_URL", "s3://x", "endpoint"),
]  # fmt: skip


@pytest.mark.parametrize(("variable", "value", "name"), BAD)
def test_a_bad_value_names_its_variable(monkeypatch: pytest.MonkeyPatch, variable: str, value: str, name: str) -> None:
    """The error says which setting is wrong, and by which variables it is set."""
    monkeypatch.setenv(variable, value)
    with pytest.raises(SettingsError) as caught:
        load_settings()
    assert f"setting {name} " in caught.value.message
    assert variable in caught.value.message
    assert caught.value.hint
    assert caught.value.__suppress_context__


@pytest.mark.parametrize("text", ['envv = "dev"', 'env = ["dev"]', "threads = 0", "home = 3", 'endpoint = "x"'])
def test_a_bad_value_in_the_project_names_its_setting(root: Path, text: str) -> None:
    """An unknown or impossible line in [tool.lake] is refused by its name."""
    project(root, text)
    with pytest.raises(SettingsError, match=f"setting {text.split(' ')[0]}"):
        load_settings()


def test_a_bad_override_is_a_settings_error() -> None:
    """A setting that does not exist, or cannot be, is refused from code too."""
    with pytest.raises(SettingsError, match="setting colour"):
        load_settings(colour="red")
    with pytest.raises(SettingsError, match="LAKE_THREADS"):
        load_settings(threads=0)


def test_a_bad_key_is_not_shown(root: Path) -> None:
    """An error about a secret names the variable and keeps the value to itself."""
    project(root, f'secret_access_key = ["{SECRET}"]')
    with pytest.raises(SettingsError, match="AWS_SECRET_ACCESS_KEY") as caught:
        load_settings()
    assert SECRET not in str(caught.value)


# --- values


def test_secrets_do_not_show(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither repr, str nor a dump of the settings gives a key away."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"):
        monkeypatch.setenv(name, SECRET)
    settings = load_settings()
    for shown in (repr(settings), str(settings), str(settings.model_dump()), settings.model_dump_json()):
        assert SECRET not in shown


def test_settings_do_not_change() -> None:
    """Settings are resolved once: a step cannot change them for the next."""
    with pytest.raises(ValidationError):
        load_settings().env = "prod"


def test_an_endpoint_loses_its_last_slash() -> None:
    """http://host:1/ and http://host:1 are one store."""
    assert load_settings(endpoint="http://host:1//").endpoint == "http://host:1"
    assert not load_settings(endpoint="http://host:1").embedded


def test_home_is_relative_to_the_project(root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A relative home is below the project wherever lake is called from; an absolute one stays."""
    (root / "deep" / "er").mkdir(parents=True)
    monkeypatch.chdir(root / "deep" / "er")
    assert load_settings(home="state").state == root / "state"
    assert load_settings(home=tmp_path / "away").state == tmp_path / "away"


def test_the_longest_allowed_names_are_allowed() -> None:
    """The limits themselves are inside."""
    settings = load_settings(env="a" + "b" * 30, bucket="b" * 63, threads=64)
    assert (len(settings.env), len(settings.bucket), settings.threads) == (31, 63, 64)


# --- the project's folder


def test_the_root_is_the_nearest_project_of_lake(root: Path) -> None:
    """The nearest pyproject.toml above with [tool.lake] makes the root; one without it is passed over."""
    inner = project(root / "packages" / "inner")
    plain = inner / "sub" / "plain"
    plain.mkdir(parents=True)
    (plain.parent / "pyproject.toml").write_text('[project]\nname = "plain"\n[tool.other]\nlake = 1\n', "utf-8")
    assert project_root(plain) == inner
    assert project_root(inner) == inner
    assert project_root(inner.parent) == root
    assert load_settings().root == root


def test_an_empty_table_is_enough(root: Path) -> None:
    """[tool.lake] with nothing in it marks a project; a value called lake does not."""
    (root / "a").mkdir()
    (root / "a" / "pyproject.toml").write_text("[tool.lake]\n", "utf-8")
    (root / "b").mkdir()
    (root / "b" / "pyproject.toml").write_text('[tool]\nlake = "yes"\n', "utf-8")
    assert project_root(root / "a") == root / "a"
    assert project_root(root / "b") == root


def test_without_a_project_the_folder_itself_is_the_root(tmp_path: Path) -> None:
    """Where nothing above is a project of lake, the start is the root, and the defaults hold."""
    assert project_root(tmp_path) == tmp_path.resolve()
    assert load_settings(root=tmp_path) == Settings(root=tmp_path.resolve())


@pytest.mark.parametrize("content", [b"[tool.lake\n", b"a = \n", b'[tool.lake]\nenv = "\xff"\n'])
def test_broken_toml_names_its_file(root: Path, content: bytes) -> None:
    """A pyproject.toml that is not TOML, or not text, is an error naming the file, from below it too."""
    (root / "pyproject.toml").write_bytes(content)
    (root / "below").mkdir()
    for start in (root, root / "below"):
        with pytest.raises(SettingsError, match=r"pyproject\.toml is not valid TOML") as caught:
            project_root(start)
        assert str(root) in str(caught.value)
    with pytest.raises(SettingsError, match="not valid TOML"):
        load_settings()
