"""Where this lake is and how it is reached: the one place that reads the environment and pyproject.toml."""

from __future__ import annotations

import os
import tomllib
from functools import cached_property
from pathlib import Path
from typing import Any

from pydantic import AliasChoices, Field, SecretStr, ValidationError, field_validator
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from lake.errors import SettingsError

_ENV_NAME = r"^[a-z][a-z0-9_-]{0,30}$"


def project_root(start: Path | None = None) -> Path:
    """The nearest folder at or above `start` whose pyproject.toml has [tool.lake], else `start` itself."""
    here = (start or Path.cwd()).resolve()
    for folder in (here, *here.parents):
        if _tool_lake(folder) is not None:
            return folder
    return here


def _tool_lake(folder: Path) -> dict[str, Any] | None:
    file = folder / "pyproject.toml"
    if not file.is_file():
        return None
    try:
        table = tomllib.loads(file.read_text("utf-8")).get("tool", {}).get("lake")
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingsError(f"{file} is not valid TOML: {error}", "Fix it, or run lake elsewhere") from None
    return table if isinstance(table, dict) else None


class Settings(BaseSettings):
    """Read from `LAKE_*`, the usual `AWS_*`, then `[tool.lake]` in pyproject.toml; the first that says something wins."""

    model_config = SettingsConfigDict(extra="ignore", frozen=True, populate_by_name=True)

    root: Path = Field(default_factory=project_root, description="The project's folder; relative paths start here.")
    env: str = Field("dev", validation_alias=AliasChoices("env", "LAKE_ENV"), pattern=_ENV_NAME, description="dev, uat or prod.")
    bucket: str = Field("lake", validation_alias=AliasChoices("bucket", "LAKE_BUCKET"), min_length=3, max_length=63)
    home: Path = Field(Path(".lake"), validation_alias=AliasChoices("home", "LAKE_HOME"), description="Local state and, if embedded, the data.")
    flows: str = Field("flows", validation_alias=AliasChoices("flows", "LAKE_FLOWS"), description="The package that holds one folder per subject.")
    endpoint: str | None = Field(
        None,
        validation_alias=AliasChoices("endpoint", "LAKE_ENDPOINT", "AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL"),
        description="An S3-compatible endpoint; none means the embedded store.",
    )
    region: str = Field("us-east-1", validation_alias=AliasChoices("region", "LAKE_REGION", "AWS_REGION", "AWS_DEFAULT_REGION"))
    access_key_id: SecretStr | None = Field(None, validation_alias=AliasChoices("access_key_id", "AWS_ACCESS_KEY_ID"))
    secret_access_key: SecretStr | None = Field(None, validation_alias=AliasChoices("secret_access_key", "AWS_SECRET_ACCESS_KEY"))
    session_token: SecretStr | None = Field(None, validation_alias=AliasChoices("session_token", "AWS_SESSION_TOKEN"))
    prefect_api_url: str | None = Field(None, validation_alias=AliasChoices("prefect_api_url", "PREFECT_API_URL"))
    threads: int = Field(2, validation_alias=AliasChoices("threads", "LAKE_THREADS"), ge=1, le=64, description="Steps run at once.")

    @field_validator("endpoint")
    @classmethod
    def _is_a_url(cls, value: str | None) -> str | None:
        if value and not value.startswith(("http://", "https://")):
            raise ValueError("must start with http:// or https://")
        return value.rstrip("/") if value else None

    @classmethod
    def settings_customise_sources(
        cls, settings_cls: type[BaseSettings], init_settings: Any, env_settings: Any, **_: Any
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        return (init_settings, env_settings)

    @cached_property
    def state(self) -> Path:
        """The local state folder as an absolute path."""
        return self.home if self.home.is_absolute() else self.root / self.home

    @property
    def embedded(self) -> bool:
        """Whether lake starts a store of its own."""
        return self.endpoint is None


def load_settings(**overrides: Any) -> Settings:
    """The settings in force here. Raises SettingsError naming the variable that is wrong."""
    overrides = {key: value for key, value in overrides.items() if value is not None}
    root = Path(overrides.pop("root", None) or project_root())
    file = {key: value for key, value in (_tool_lake(root) or {}).items() if key in Settings.model_fields}
    spoken_for = {name for name in file if _said_by_environment(name)}
    try:
        return Settings(root=root, **{key: value for key, value in file.items() if key not in spoken_for} | overrides)
    except ValidationError as error:
        first = error.errors()[0]
        name = str(first["loc"][0]) if first["loc"] else "a setting"
        raise SettingsError(f"setting {name}: {first['msg']}", "See `lake doctor --help` for the variables lake reads") from None


def _said_by_environment(field: str) -> bool:
    alias = Settings.model_fields[field].validation_alias
    choices = alias.choices if isinstance(alias, AliasChoices) else []
    return any(isinstance(choice, str) and choice.isupper() and choice in os.environ for choice in choices)
