"""The manifests under infra/kubernetes: against Kubernetes' own schemas, and what they promise. No cluster is needed, and none is asked."""

from __future__ import annotations

import shutil
import subprocess
from typing import Any

import kubernetes_validate
import pytest
import yaml

from lake.parts import PARTS
from tests.places import KUBERNETES, documents, kustomization, of_kind, variables

VERSIONS = ["1.30", "1.37"]  # the oldest that we say, and the newest that is known
DEPLOYMENTS = of_kind("Deployment")
each_deployment = pytest.mark.parametrize("name", DEPLOYMENTS)


def pod_of(name: str) -> dict[str, Any]:
    """The pod of a deployment."""
    found: dict[str, Any] = DEPLOYMENTS[name]["spec"]["template"]["spec"]
    return found


def container_of(name: str) -> dict[str, Any]:
    """The one container of a deployment."""
    (found,) = pod_of(name)["containers"]
    return dict(found)


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("document", documents(), ids=lambda document: f"{document['kind']}-{document['metadata']['name']}")
def test_a_manifest_fits_the_schema(document: dict[str, Any], version: str) -> None:
    """Every manifest fits the schema of its kind, with no field that Kubernetes does not know."""
    kubernetes_validate.validate(document, version, strict=True)


def test_the_schema_would_find_a_slip() -> None:
    """A field with a slip in its name is found."""
    deployment = yaml.safe_load((KUBERNETES / "worker.yaml").read_text("utf-8"))
    deployment["spec"]["template"]["spec"]["containers"][0]["envFrom_"] = []
    with pytest.raises(kubernetes_validate.ValidationError, match="envFrom_"):
        kubernetes_validate.validate(deployment, VERSIONS[0], strict=True)


def test_every_file_is_in_the_kustomization() -> None:
    """The kustomization has every manifest but the example of secrets, and every environment file."""
    files = {file.name for file in KUBERNETES.iterdir()} - {"kustomization.yaml", "secrets.example.yaml"}
    made = kustomization()
    assert files == {*made["resources"], *(file for one in made["configMapGenerator"] for file in one["envs"])}


@pytest.mark.skipif(shutil.which("kubectl") is None, reason="kubectl is not installed")
def test_kustomize_builds_it() -> None:
    """Built by kubectl, everything is in the namespace and with the image's tag, each part has its map of settings, and all of it fits the schemas."""
    told = subprocess.run(["kubectl", "kustomize", str(KUBERNETES)], capture_output=True, text=True, timeout=60, check=True)
    built = list(yaml.safe_load_all(told.stdout))
    for document in built:
        kubernetes_validate.validate(document, VERSIONS[0], strict=True)
    assert {document["metadata"].get("namespace") for document in built if document["kind"] != "Namespace"} == {"lake"}
    maps = {document["metadata"]["name"] for document in built if document["kind"] == "ConfigMap"}
    containers = [one for document in built if document["kind"] == "Deployment" for one in document["spec"]["template"]["spec"]["containers"]]
    assert {container["image"] for container in containers} == {"lake:0.1.0"}
    assert {source["configMapRef"]["name"] for container in containers for source in container["envFrom"] if "configMapRef" in source} == maps


@each_deployment
def test_a_pod_has_no_rights(name: str) -> None:
    """A pod runs as a user of its own, cannot write to its root, gains no rights, holds no token of the cluster, and takes no settings from service links."""
    pod, container = pod_of(name), container_of(name)
    assert (pod["automountServiceAccountToken"], pod["enableServiceLinks"]) == (False, False)
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert container["securityContext"] == {"allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True, "capabilities": {"drop": ["ALL"]}}


@each_deployment
def test_a_pod_says_what_it_takes(name: str) -> None:
    """A pod asks for processor and memory, and has a limit of memory; there is one of each part, the old one gone before the new one comes."""
    resources = container_of(name)["resources"]
    assert set(resources["requests"]) == {"cpu", "memory"}
    assert set(resources["limits"]) == {"memory"}
    spec = DEPLOYMENTS[name]["spec"]
    assert (spec["replicas"], spec["strategy"]) == (1, {"type": "Recreate"})


@pytest.mark.parametrize("part", [part for part in PARTS if part.port], ids=lambda part: part.name)
def test_a_part_with_a_port_is_probed_and_served(part: Any) -> None:
    """A part that listens is probed, has a service that leads to its pods, and a rule that lets somebody in at that port alone."""
    container = container_of(part.name)
    assert [port["containerPort"] for port in container["ports"]] == [part.port]
    assert {"readinessProbe", "livenessProbe"} <= container.keys()
    service = of_kind("Service")[part.name]["spec"]
    assert service["selector"].items() <= DEPLOYMENTS[part.name]["spec"]["template"]["metadata"]["labels"].items()
    assert service["ports"] == [{"name": "http", "port": part.port, "targetPort": "http"}]
    (rule,) = of_kind("NetworkPolicy")[part.name]["spec"]["ingress"]
    assert rule["from"]
    assert rule["ports"] == [{"port": part.port}]


def test_what_no_rule_names_is_closed() -> None:
    """All traffic of every pod is refused unless a rule allows it, and each pod has a rule for what it sends."""
    policies = of_kind("NetworkPolicy")
    assert policies["closed"]["spec"]["podSelector"] == {}
    assert policies["closed"]["spec"]["policyTypes"] == ["Ingress", "Egress"]
    assert "ingress" not in policies["closed"]["spec"]
    named: set[str] = set()
    for policy in policies.values():
        chosen = policy["spec"]["podSelector"]
        if policy["spec"].get("egress") and chosen:
            named |= {chosen.get("matchLabels", {}).get("app.kubernetes.io/name", "")}
            named |= {value for one in chosen.get("matchExpressions", []) for value in one["values"]}
    assert named - {""} == set(DEPLOYMENTS)


def test_the_claim_is_the_home_of_the_worker() -> None:
    """The claimed volume is where the worker's LAKE_HOME is, and no other pod asks for it."""
    claims = {
        name: volume["persistentVolumeClaim"]["claimName"] for name in DEPLOYMENTS for volume in pod_of(name)["volumes"] if "persistentVolumeClaim" in volume
    }
    assert claims == {"worker": "worker-home"}
    assert set(of_kind("PersistentVolumeClaim")) == {"worker-home"}
    mounts = {mount["name"]: mount["mountPath"] for mount in container_of("worker")["volumeMounts"]}
    assert mounts["home"] == variables(KUBERNETES / "lake.env")["LAKE_HOME"]


def test_the_example_holds_no_real_secret() -> None:
    """Every value in the example of secrets is a placeholder that says so, and the manifests name those two secrets."""
    for secret in of_kind("Secret").values():
        assert [name for name, value in secret["stringData"].items() if "replace-me" not in value] == []
    asked = {source["secretRef"]["name"] for name in DEPLOYMENTS for source in container_of(name)["envFrom"] if "secretRef" in source}
    assert asked == set(of_kind("Secret"))
