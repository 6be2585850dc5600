"""Where this lake is and how it is reached: the one place that reads the environment and pyproject.toml."""

from __future__ import annotations

import datetime as dt
import os
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ByteSize, ConfigDict, Field, SecretStr, ValidationError, field_validator, model_validator

from lake.confidential import keep, keep_address, keep_environment, keep_whole
from lake.errors import SettingsError

_ENV_NAME = r"^[a-z][a-z0-9_-]{0,30}$"


def project_root(start: Path | None = None) -> Path:
    """The nearest folder at or above `start` whose pyproject.toml has [tool.lake], else `start` itself."""
    here = (start or Path.cwd()).resolve()
    for folder in (here, *here.parents):
        if _tool_lake(folder) is not None:
            return folder
    return here


def is_project(folder: Path) -> bool:
    """Whether the pyproject.toml of this very folder has [tool.lake]."""
    return _tool_lake(folder) is not None


def _tool_lake(folder: Path) -> dict[str, Any] | None:
    file = folder / "pyproject.toml"
    if not file.is_file():
        return None
    try:
        table = tomllib.loads(file.read_text("utf-8")).get("tool", {}).get("lake")
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingsError(f"{file} is not valid TOML: {error}", "Fix it, or run lake elsewhere") from None
    return table if isinstance(table, dict) else None


class Settings(BaseModel):
    """What is configured. Made by load_settings."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    root: Path = Field(description="The project's folder; relative paths start here.")
    env: str = Field("dev", pattern=_ENV_NAME, description="dev, uat or prod: the first part of every path in the bucket.")
    bucket: str = Field("lake", min_length=3, max_length=63, description="The bucket that holds everything.")
    home: Path = Field(Path(".lake"), description="Local state and, if the store is embedded, the data.")
    flows: str = Field("flows", description="The package with one folder per subject.")
    endpoint: str | None = Field(None, description="An S3-compatible endpoint; none means the embedded store.")
    region: str = Field("us-east-1", description="The bucket's region, where that matters.")
    access_key_id: SecretStr | None = Field(None, description="Key for the endpoint.")
    secret_access_key: SecretStr | None = Field(None, description="Secret for the endpoint.")
    session_token: SecretStr | None = Field(None, description="Token, where keys are temporary.")
    backup_endpoint: str | None = Field(None, description="The S3-compatible endpoint of backups that go to a bucket; none means where the lake is.")
    backup_access_key_id: SecretStr | None = Field(None, description="Key for the endpoint of backups.")
    backup_secret_access_key: SecretStr | None = Field(None, description="Secret for the endpoint of backups.")
    retention: dt.timedelta = Field(dt.timedelta(days=7), description="How long every version of a table stays readable; versions in releases stay for ever.")
    releases: dt.timedelta | None = Field(None, description="How long releases can be opened; the newest always. None means for ever.")
    retired: dt.timedelta | None = Field(
        None, description="How long tables that were retired are kept; then `lake maintain` removes them. None means for ever."
    )
    log_retention: dt.timedelta = Field(
        dt.timedelta(days=30), description="How long each commit keeps an object of its own; older ones are put together, a thousand an object."
    )
    grace: dt.timedelta = Field(dt.timedelta(hours=24), description="How old a file that nothing refers to must be before upkeep removes it.")
    patience: dt.timedelta = Field(
        dt.timedelta(seconds=60), ge=dt.timedelta(0), le=dt.timedelta(hours=1),
        description="How long trouble of a store or a source that may pass is waited out: no answer, 429, 500, 503.",
    )  # fmt: skip
    reserve: ByteSize = Field(ByteSize(256 << 20), ge=0, description="So much room is left on a disk of lake's: with less, nothing that writes is begun.")
    threads: int = Field(2, ge=1, le=64, description="Steps of a run done at once.")
    memory: ByteSize | None = Field(
        None, gt=0, description="About how much memory a run may take, such as 1GB: beyond it less is done at once, and more on disk."
    )
    engine: Literal["local", "dask", "ray"] = Field("local", description="Where the partitions of a hop are done: here, as one; or on a Dask or Ray cluster.")
    engine_address: str | None = Field(None, description="The cluster's address, such as tcp://host:8786 or ray://host:10001; none starts one here.")
    partition_bytes: int = Field(32 << 20, ge=1, description="So many bytes of Parquet are worth a partition of their own.")
    runs: int = Field(2, ge=1, le=64, description="Runs that a worker has going at once.")
    watch: dt.timedelta = Field(dt.timedelta(seconds=5), gt=dt.timedelta(0), description="How often sources are listed for files that arrived.")
    watch_port: int | None = Field(None, ge=1, le=65535, description="Where a bucket's notifications are posted: anything that comes has sources looked at.")
    watch_queue: str | None = Field(None, description="The SQS queue that a bucket's notifications go to.")
    docs_url: str | None = Field(None, description="Where what `lake docs` writes is published: cards of tables link there.")
    notify: SecretStr | None = Field(None, description="Where alerts go: an http(s) address, or type/name of a notification block of Prefect.")
    prefect_database: SecretStr | None = Field(None, description="Where Prefect keeps its history: postgresql+asyncpg://…; none means SQLite under `home`.")
    prefect_retention: dt.timedelta = Field(dt.timedelta(days=30), gt=dt.timedelta(hours=1), description="How long Prefect keeps runs that ended.")
    metrics_port: int = Field(9464, ge=1, le=65535, description="The port of `lake up`'s metrics; another if it is taken.")
    prefect_port: int = Field(4200, ge=1, le=65535, description="The port of a Prefect server of the project's own; another if it is taken.")
    log: Literal["off", "text", "json"] = Field("off", description="What steps, landings, releases and errors are also told as, a line each on standard error.")

    @field_validator("endpoint", "backup_endpoint", "docs_url")
    @classmethod
    def _is_a_url(cls, value: str | None) -> str | None:
        if value and not value.startswith(("http://", "https://")):
            raise ValueError("must start with http:// or https://")
        return value.rstrip("/") if value else None

    @model_validator(mode="after")
    def _kept(self) -> Settings:
        """Know what any setting holds as secret, before anything is told of it."""
        for name in type(self).model_fields:
            keep_setting(getattr(self, name))
        return self

    @property
    def state(self) -> Path:
        """The local state folder as an absolute path."""
        return self.home if self.home.is_absolute() else self.root / self.home

    @property
    def embedded(self) -> bool:
        """Whether lake starts a store of its own."""
        return self.endpoint is None


VARIABLES: dict[str, tuple[str, ...]] = {
    "env": ("LAKE_ENV",),
    "bucket": ("LAKE_BUCKET",),
    "home": ("LAKE_HOME",),
    "flows": ("LAKE_FLOWS",),
    "endpoint": ("LAKE_ENDPOINT", "AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL"),
    "region": ("LAKE_REGION", "AWS_REGION", "AWS_DEFAULT_REGION"),
    "access_key_id": ("AWS_ACCESS_KEY_ID",),
    "secret_access_key": ("AWS_SECRET_ACCESS_KEY",),
    "session_token": ("AWS_SESSION_TOKEN",),
    "backup_endpoint": ("LAKE_BACKUP_ENDPOINT",),
    "backup_access_key_id": ("LAKE_BACKUP_ACCESS_KEY_ID",),
    "backup_secret_access_key": ("LAKE_BACKUP_SECRET_ACCESS_KEY",),
    "retention": ("LAKE_RETENTION",),
    "releases": ("LAKE_RELEASES",),
    "retired": ("LAKE_RETIRED",),
    "log_retention": ("LAKE_LOG_RETENTION",),
    "grace": ("LAKE_GRACE",),
    "patience": ("LAKE_PATIENCE",),
    "reserve": ("LAKE_RESERVE",),
    "threads": ("LAKE_THREADS",),
    "memory": ("LAKE_MEMORY",),
    "engine": ("LAKE_ENGINE",),
    "engine_address": ("LAKE_ENGINE_ADDRESS",),
    "partition_bytes": ("LAKE_PARTITION_BYTES",),
    "runs": ("LAKE_RUNS",),
    "watch": ("LAKE_WATCH",),
    "watch_port": ("LAKE_WATCH_PORT",),
    "watch_queue": ("LAKE_WATCH_QUEUE",),
    "docs_url": ("LAKE_DOCS_URL",),
    "notify": ("LAKE_NOTIFY",),
    "prefect_database": ("LAKE_PREFECT_DATABASE",),
    "prefect_retention": ("LAKE_PREFECT_RETENTION",),
    "prefect_port": ("LAKE_PREFECT_PORT",),
    "metrics_port": ("LAKE_METRICS_PORT",),
    "log": ("LAKE_LOG",),
}
"""The environment variables of each setting; the first that is set wins."""


def keep_setting(value: Any) -> None:
    """Know a setting as secret: as a whole where it is declared so, else what it carries where it is an address."""
    if isinstance(value, SecretStr):
        secret = value.get_secret_value()
        keep_whole(secret) if "://" in secret else keep(secret)
    elif isinstance(value, str):
        keep_address(value)


def lineage_is_wanted() -> bool:
    """Whether OpenLineage is configured, in the ways of its client: by its environment variables or an openlineage.yml, and not disabled."""
    if os.environ.get("OPENLINEAGE_DISABLED", "").strip().lower() == "true":
        return False
    told = any(name in ("OPENLINEAGE_URL", "OPENLINEAGE_CONFIG") or name.startswith("OPENLINEAGE__TRANSPORT") for name, value in os.environ.items() if value)
    homes = [home / ".openlineage"] if (home := user_home()) is not None else []
    return told or any((folder / "openlineage.yml").is_file() for folder in (Path.cwd(), *homes))


def user_home() -> Path | None:
    """The folder of whoever runs this; None where neither HOME nor the list of users says one."""
    try:
        return Path.home()
    except RuntimeError:
        return None


def load_settings(**overrides: Any) -> Settings:
    """The settings in force here: overrides, then the environment, then [tool.lake]. Raises SettingsError naming what is wrong."""
    overrides = {key: value for key, value in overrides.items() if value is not None}
    root = Path(overrides.pop("root", None) or project_root()).resolve()
    keep_environment(os.environ)
    spoken = {name: os.environ[variable] for name, variables in VARIABLES.items() for variable in reversed(variables) if os.environ.get(variable)}
    try:
        return Settings.model_validate({"root": root} | (_tool_lake(root) or {}) | spoken | overrides)
    except ValidationError as error:
        first = error.errors()[0]
        name = str(first["loc"][0]) if first["loc"] else "?"
        where = f" ({' or '.join(VARIABLES[name])})" if name in VARIABLES else ""
        said = "should be a duration such as PT60S (60 seconds) or P7D (7 days)" if first["type"].startswith("time_delta") else first["msg"]
        raise SettingsError(f"setting {name}{where}: {said}", "The guide lists what each setting may be") from None


def home_in(folder: Path, environment: Mapping[str, str]) -> Path:
    """The home of a lake command that works in `folder` with this environment. Raises SettingsError where the project's file is broken."""
    root = project_root(folder)
    home = Path(environment.get("LAKE_HOME") or str((_tool_lake(root) or {}).get("home", Settings.model_fields["home"].default)))
    return home if home.is_absolute() else root / home


def traces_exporter() -> str | None:
    """What the standard OTEL_* variables say sends spans away: `otlp`, `console`, or another name; None where nothing does."""
    if os.environ.get("OTEL_SDK_DISABLED", "").strip().lower() == "true":
        return None
    chosen = os.environ.get("OTEL_TRACES_EXPORTER", "").strip().lower()
    if not chosen:
        chosen = "otlp" if any(os.environ.get(f"OTEL_EXPORTER_OTLP_{name}ENDPOINT") for name in ("TRACES_", "")) else "none"
    if chosen == "otlp":
        spoken = os.environ.get("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL") or os.environ.get("OTEL_EXPORTER_OTLP_PROTOCOL") or "http/protobuf"
        return "otlp" if spoken == "http/protobuf" else f"otlp over {spoken}"
    return None if chosen == "none" else chosen
