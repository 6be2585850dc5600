"""The three places under infra/ that say how lake runs elsewhere, read into one form: each part with its command, its environment and what it writes to."""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

INFRA = Path(__file__).parents[1] / "infra"
SYSTEMD = INFRA / "systemd"
KUBERNETES = INFRA / "kubernetes"
COMPOSE = INFRA / "compose.yaml"
Document = dict[str, Any]


@dataclass(frozen=True)
class Placed:
    """A part as one place starts it. `hidden` has what comes from a secret; its values here are only examples."""

    place: str
    part: str
    command: list[str]
    environment: dict[str, str]
    hidden: dict[str, str] = field(default_factory=dict)

    @property
    def everything(self) -> dict[str, str]:
        """Its whole environment."""
        return self.environment | self.hidden


def placed() -> list[Placed]:
    """Every part of every place."""
    return [*_composed(), *_units(), *_deployed()]


def variables(file: Path, *, also_commented: bool = False) -> dict[str, str]:
    """The variables of an environment file; with `also_commented`, those that it only shows too."""
    lines = [line.removeprefix("#") if also_commented and re.match(r"#[A-Z_]+=", line) else line for line in file.read_text("utf-8").splitlines()]
    return dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))


def unit(file: Path) -> dict[str, list[tuple[str, str]]]:
    """A unit's sections, each a list of keys and values: a key may come often."""
    sections: dict[str, list[tuple[str, str]]] = {}
    for line in file.read_text("utf-8").splitlines():
        if line.startswith("["):
            section = sections.setdefault(line.strip("[]"), [])
        elif line and not line.startswith("#"):
            key, _, value = line.partition("=")
            section.append((key, value))
    return sections


def values(sections: dict[str, list[tuple[str, str]]], section: str, key: str) -> list[str]:
    """The values that a key has in a section of a unit."""
    return [value for name, value in sections.get(section, []) if name == key]


def documents() -> list[Document]:
    """Every manifest of the kustomization, in its order, and those of the example of secrets."""
    files = [*kustomization()["resources"], "secrets.example.yaml"]
    return [document for name in files for document in yaml.safe_load_all((KUBERNETES / name).read_text("utf-8"))]


def kustomization() -> Document:
    """The kustomization."""
    found: Document = yaml.safe_load((KUBERNETES / "kustomization.yaml").read_text("utf-8"))
    return found


def of_kind(kind: str) -> dict[str, Document]:
    """The manifests of a kind by name."""
    return {document["metadata"]["name"]: document for document in documents() if document["kind"] == kind}


def _composed() -> list[Placed]:
    services = yaml.safe_load(COMPOSE.read_text("utf-8"))["services"]
    names = {"prefect-server": "prefect", "worker": "worker", "watch": "watch", "metrics": "metrics"}
    return [Placed("compose", part, services[name]["command"], services[name]["environment"]) for name, part in names.items()]


def _units() -> list[Placed]:
    common = unit(SYSTEMD / "lake-.service.d" / "common.conf")
    found = []
    for file in sorted(SYSTEMD.glob("lake-*.service")):
        told = unit(file)
        environment = dict(
            pair.split("=", 1) for line in (*values(common, "Service", "Environment"), *values(told, "Service", "Environment")) for pair in shlex.split(line)
        )
        hidden: dict[str, str] = {}
        for name in values(told, "Service", "EnvironmentFile"):
            plain = SYSTEMD / "etc" / Path(name).name
            environment |= variables(plain) if plain.exists() else {}
            hidden |= {} if plain.exists() else variables(plain.with_name(f"{plain.name}.example"))
        program, *options = shlex.split(values(told, "Service", "ExecStart")[0])
        found.append(Placed("systemd", file.stem.removeprefix("lake-"), [Path(program).name, *options], environment, hidden))
    return found


def _deployed() -> list[Placed]:
    maps = {
        made["name"]: {name: value for file in made["envs"] for name, value in variables(KUBERNETES / file).items()}
        for made in kustomization()["configMapGenerator"]
    }
    secrets = {name: document["stringData"] for name, document in of_kind("Secret").items()}
    found = []
    for name, document in of_kind("Deployment").items():
        (container,) = document["spec"]["template"]["spec"]["containers"]
        environment: dict[str, str] = {}
        hidden: dict[str, str] = {}
        for source in container["envFrom"]:
            environment |= maps[source["configMapRef"]["name"]] if "configMapRef" in source else {}
            hidden |= secrets[source["secretRef"]["name"]] if "secretRef" in source else {}
        found.append(Placed("kubernetes", name, container["args"], environment, hidden))
    return found
