"""The files that set lake up elsewhere: the Compose stack, its image and the workflow. They are read here, never run."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml
from packaging.specifiers import SpecifierSet

from lake.settings import VARIABLES

ROOT = Path(__file__).parents[1]
COMPOSE = ROOT / "infra" / "compose.yaml"
DOCKERFILE = ROOT / "infra" / "Dockerfile"
EXAMPLE = ROOT / "infra" / ".env.example"
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))

STACK: dict[str, Any] = yaml.safe_load(COMPOSE.read_text("utf-8"))
SERVICES: dict[str, dict[str, Any]] = STACK["services"]

_REQUIRED = re.compile(r"\$\{[A-Z_]+:\?[^{}]+\}")
_SECRET = re.compile(r"SECRET|PASSWORD|TOKEN|_KEY|ROOT_USER")
_OF_LAKE = re.compile(r"\b(?:LAKE|AWS)_[A-Z0-9_]+\b")

each_service = pytest.mark.parametrize("service", SERVICES)
each_workflow = pytest.mark.parametrize("workflow", WORKFLOWS, ids=lambda path: path.name)


def strings(node: Any) -> list[str]:
    """Every string in a parsed YAML document, keys included."""
    if isinstance(node, dict):
        return [text for key, value in node.items() for text in (*strings(key), *strings(value))]
    if isinstance(node, list):
        return [text for item in node for text in strings(item)]
    return [node] if isinstance(node, str) else []


def example() -> dict[str, str]:
    """The variables of infra/.env.example."""
    lines = [line for line in EXAMPLE.read_text("utf-8").splitlines() if line and not line.startswith("#")]
    return dict(line.split("=", 1) for line in lines)


def check_schema(name: str, file: Path) -> None:
    """Fail with the validator's own words if `file` does not fit the schema; check-jsonschema ships it, so no network is needed."""
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", name, str(file)]
    result = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert result.returncode == 0, result.stdout + result.stderr


def is_pinned(image: str) -> bool:
    """Whether an image names a tag of its own, so that the same file gives the same stack tomorrow."""
    tag = image.rpartition("/")[2].partition(":")[2]
    return tag not in ("", "latest")


def test_the_compose_file_fits_the_specification() -> None:
    """The Compose file fits the Compose specification."""
    check_schema("vendor.compose-spec", COMPOSE)


def test_the_stack_is_complete() -> None:
    """The stack is a store, its bucket, a database, a Prefect server, a worker, a watcher and metrics."""
    assert set(SERVICES) == {"minio", "minio-bucket", "postgres", "prefect-server", "worker", "watch", "metrics"}


@each_service
def test_nothing_is_published_beyond_this_machine(service: str) -> None:
    """Nothing is published beyond this machine."""
    ports = SERVICES[service].get("ports", [])
    assert [port for port in ports if not str(port).startswith("127.0.0.1:")] == []
    assert SERVICES[service].get("network_mode") is None, "the host's network would publish every port"


@each_service
def test_every_image_is_pinned(service: str) -> None:
    """Every image is named by a tag, and never by latest."""
    assert is_pinned(SERVICES[service]["image"])


@each_service
def test_no_secret_is_written_down(service: str) -> None:
    """No secret is written down: each comes from the environment, and the stack refuses to start without it."""
    secrets = {name: value for name, value in SERVICES[service].get("environment", {}).items() if _SECRET.search(name)}
    assert {name: value for name, value in secrets.items() if not _REQUIRED.fullmatch(value)} == {}
    passwords = [found for text in strings(SERVICES[service]) for found in re.findall(r"://[^:/\s]+:(.+)@", text)]
    assert [password for password in passwords if not _REQUIRED.fullmatch(password)] == []


def test_every_variable_is_required_and_explained() -> None:
    """Every variable the stack takes is required, says how to set it, and stands in .env.example; nothing else does."""
    taken = [text[found.start() :] for text in strings(STACK) for found in re.finditer(r"(?<!\$)\$(?!\$)", text)]
    assert [text for text in taken if not _REQUIRED.match(text)] == []
    assert set(example()) == {name for text in taken for name in re.findall(r"^\$\{([A-Z_]+)", text)}


def test_the_example_holds_no_real_secret() -> None:
    """The secrets in .env.example are placeholders that say so."""
    secrets = {name: value for name, value in example().items() if _SECRET.search(name)}
    assert set(secrets) == {"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "POSTGRES_PASSWORD", "PREFECT_PASSWORD"}
    assert [name for name, value in secrets.items() if not value.startswith("replace-me")] == []


@each_service
def test_a_service_waits_for_what_it_depends_on(service: str) -> None:
    """Every service that depends on another waits until it is healthy, or, if it runs only once, until it has succeeded."""
    for name, how in SERVICES[service].get("depends_on", {}).items():
        once = SERVICES[name].get("restart") == "no"
        assert how["condition"] == ("service_completed_successfully" if once else "service_healthy")
        assert once or SERVICES[name]["healthcheck"]["test"], f"{name} has no health check to wait for"


def test_lake_reads_every_variable_it_is_given() -> None:
    """Every LAKE_* and AWS_* variable in the stack, the image and .env.example is one that lake reads."""
    read = {variable for variables in VARIABLES.values() for variable in variables}
    given = {name for file in (COMPOSE, DOCKERFILE, EXAMPLE) for name in _OF_LAKE.findall(file.read_text("utf-8"))}
    assert {"AWS_ENDPOINT_URL", "LAKE_BUCKET", "LAKE_ENV"} <= given
    assert given - read == set()


def test_prefect_reports_to_nobody() -> None:
    """The Prefect server and all that talks to it send no usage data."""
    for service in ("prefect-server", "worker", "watch", "metrics"):
        environment = SERVICES[service]["environment"]
        assert {"DO_NOT_TRACK": "1", "PREFECT_SERVER_ANALYTICS_ENABLED": "false"}.items() <= environment.items()


@pytest.mark.parametrize("service", ["prefect-server", "worker", "watch", "metrics"])
def test_a_service_of_ours_writes_to_its_volume_alone(service: str) -> None:
    """What runs lake's image has a root that it cannot write to, and no rights; a volume is at the one place where LAKE_HOME and Prefect's home are."""
    told = SERVICES[service]
    assert (told["read_only"], told["cap_drop"], told["tmpfs"]) == (True, ["ALL"], ["/tmp"])  # noqa: S108  # a mount, not a file
    (volume,) = told["volumes"]
    name, _, at = volume.partition(":")
    assert name in STACK["volumes"]
    homes = {told["environment"][key] for key in ("LAKE_HOME", "PREFECT_HOME", "PREFECT_UI_STATIC_DIRECTORY") if key in told["environment"]}
    assert {home for home in homes if home != at and not home.startswith(f"{at}/")} == set()
    assert at == re.findall(r"LAKE_HOME=(\S+)", DOCKERFILE.read_text("utf-8"))[0]


def test_the_image_is_pinned_locked_and_unprivileged() -> None:
    """The image starts from a pinned one, installs only what the lock names, and runs as a user of its own."""
    text = DOCKERFILE.read_text("utf-8")
    bases = re.findall(r"^FROM (\S+)", text, re.MULTILINE)
    assert bases
    assert [base for base in bases if not is_pinned(base)] == []
    installs = re.findall(r"uv pip install (.+)", text)
    assert [line for line in installs if "--require-hashes" not in line and "--no-deps --no-build-isolation" not in line] == []
    assert re.findall(r"^USER (\S+)", text.rpartition("\nFROM ")[2], re.MULTILINE) == ["lake"]


def test_the_builder_gets_what_it_copies_and_no_more() -> None:
    """The builder is sent exactly what the image copies, so a secret left in the folder cannot end up in it."""
    sources = [line.split()[:-1] for line in re.findall(r"^COPY (?!--from)(.+)", DOCKERFILE.read_text("utf-8"), re.MULTILINE)]
    copied = {source.removeprefix("./") for line in sources for source in line}
    rules = [line for line in (ROOT / ".dockerignore").read_text("utf-8").splitlines() if line and not line.startswith("#")]
    assert rules[0] == "*"
    assert {rule[1:] for rule in rules if rule.startswith("!")} == copied
    assert [name for name in copied if not (ROOT / name).exists()] == []


def test_there_is_a_workflow() -> None:
    """The project is checked wherever it is pushed."""
    assert "check.yml" in {workflow.name for workflow in WORKFLOWS}


@pytest.mark.parametrize("schema", ["vendor.github-workflows", "custom.github-workflows-require-timeout"])
@each_workflow
def test_a_workflow_fits_the_schema(workflow: Path, schema: str) -> None:
    """Every workflow fits GitHub's schema, and none of its jobs can run for hours."""
    check_schema(schema, workflow)


@each_workflow
def test_a_workflow_can_only_read(workflow: Path) -> None:
    """A workflow can read the repository and nothing else, keeps no token, uploads nothing and runs only actions pinned to a commit."""
    document = yaml.safe_load(workflow.read_text("utf-8"))
    steps = [step for job in document["jobs"].values() for step in job["steps"]]
    used = [step["uses"] for step in steps if "uses" in step]
    assert document["permissions"] == {"contents": "read"}
    assert [job for job in document["jobs"].values() if "permissions" in job] == []
    assert [action for action in used if not re.fullmatch(r"actions/(?:checkout|setup-python)@[0-9a-f]{40}", action)] == []
    kept = [step for step in steps if "checkout@" in step.get("uses", "") and step.get("with", {}).get("persist-credentials") is not False]
    assert kept == []


def test_the_check_covers_every_python_we_promise() -> None:
    """Every Python that pyproject.toml admits is checked, by the one command that checks everything; a newer push ends an older run."""
    document = yaml.safe_load((ROOT / ".github" / "workflows" / "check.yml").read_text("utf-8"))
    job = document["jobs"]["check"]
    promised = SpecifierSet(tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["requires-python"])
    assert job["strategy"]["matrix"]["python"] == [f"3.{minor}" for minor in range(40) if f"3.{minor}.0" in promised]
    assert [step["run"] for step in job["steps"] if "run" in step] == ["bash .ci/run"]
    assert document["concurrency"]["cancel-in-progress"] is True
