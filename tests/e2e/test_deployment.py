"""The files that others run: the image's recipe, compose.yaml, the manifests for Kubernetes."""

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from storelog.config import Settings
from storelog.kafka import event_topics
from storelog.local.servers import PROCESSES, is_ready
from storelog.web.server import STOP_WITHIN_SECONDS
from support.system import System, free_port, wait_for
from support.tools import installed

ROOT = Path(__file__).parents[2]
BASE = ROOT / "deploy" / "kubernetes" / "base"
KEDA = ROOT / "deploy" / "kubernetes" / "keda"
KUBERNETES = "1.34"
NO_FILES = (
    "import os, resource as r, sys; r.setrlimit(r.RLIMIT_FSIZE, (0, 0)); "
    "os.execv(sys.executable, [sys.executable, *sys.argv[1:]])"
)
PORTS = dict(zip(PROCESSES, (8080, 8090, 8091, 8081), strict=True))


def compose() -> dict[str, Any]:
    """Return compose.yaml as `docker compose config` understands it."""
    own = installed() / "bin" / "docker-compose"
    argv = [str(own)] if own.is_file() else [str(shutil.which("docker")), "compose"]
    argv += ["-f", str(ROOT / "compose.yaml"), "config", "--format", "json"]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def test_compose_runs_the_four_processes_and_what_they_need() -> None:
    services = compose()["services"]
    servers = {"postgresql", "kafka", "mongodb", "pgadmin"}
    assert services.keys() == {*PROCESSES, *servers, "migrate"}
    for name, port in PORTS.items():
        service = services[name]
        assert service["command"] == [name, "--host", "0.0.0.0", "--port", str(port)]
        assert service["environment"]["HEALTH_URL"] == f"http://127.0.0.1:{port}/health/ready"
        assert service["read_only"]
        assert service["depends_on"]["migrate"]["condition"] == "service_completed_successfully"
    for name in ("postgresql", "kafka", "mongodb"):
        assert services[name]["healthcheck"]["test"]
        assert services["migrate"]["depends_on"][name]["condition"] == "service_healthy"
    published = [port for service in services.values() for port in service.get("ports", [])]
    assert {port["host_ip"] for port in published} == {"127.0.0.1"}
    hosts = services["query-service"]["environment"]["STORELOG_ALLOWED_HOSTS"]
    assert set(hosts.split(",")) == set(PROCESSES)


def test_the_settings_of_the_containers_are_settings() -> None:
    known = {f"STORELOG_{name.upper()}" for name in Settings.__dataclass_fields__}
    named = compose()["services"]["relay"]["environment"].keys() - {"HEALTH_URL"}
    for file in (BASE / "settings.env", *(BASE / "secrets.example").iterdir()):
        named |= {line.partition("=")[0] for line in file.read_text().splitlines()}
    assert named <= known


def test_the_image_runs_as_nobody_and_has_a_health_check() -> None:
    lines = (ROOT / "Dockerfile").read_text("utf-8")
    assert re.search(r"^USER 10001:10001$", lines, re.MULTILINE)
    assert re.search(r"^HEALTHCHECK ", lines, re.MULTILINE)
    kept = {
        line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line[0] == "!"
    }
    copied = " ".join(re.findall(r"^COPY (?!--from)(.*) \S+$", lines, re.MULTILINE)).split()
    assert set(copied) == kept
    assert all((ROOT / name).exists() for name in kept)


def test_no_process_writes_a_file(settings: Settings) -> None:
    """A read-only root: a process that writes a byte to a file is ended by the limit."""
    system = System(settings)
    ports = {name: free_port() for name in PROCESSES}
    running = []
    try:
        for name, port in ports.items():
            argv = [sys.executable, "-c", NO_FILES, "-m", "storelog", name, "--port", str(port)]
            running.append(
                subprocess.Popen(
                    argv,
                    env={**system.environment, "STORELOG_DATA_DIR": "/nowhere"},
                    cwd="/",
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.DEVNULL,
                )
            )
        for name, port in ports.items():
            wait_for(lambda port=port: is_ready(f"http://127.0.0.1:{port}"), name)  # type: ignore[misc]
        assert [process.poll() for process in running] == [None] * 4
    finally:
        for process in running:
            process.terminate()
        codes = [process.wait(30) for process in running]
    assert codes == [0] * 4


def manifests(folder: Path) -> Iterator[tuple[Path, dict[str, Any]]]:
    for name in yaml.safe_load((folder / "kustomization.yaml").read_text())["resources"]:
        path = folder / name
        if path.is_file():
            for document in yaml.safe_load_all(path.read_text("utf-8")):
                yield path, document


def test_every_manifest_is_as_the_schemas_of_kubernetes_say() -> None:
    paths = sorted({str(path) for path, _ in manifests(BASE)})
    assert sorted(path.name for path in BASE.glob("*.yaml")) == sorted(
        [*(Path(path).name for path in paths), "kustomization.yaml"]
    )
    argv = [str(installed() / "bin" / "kubernetes-validate"), "--strict", "-k", KUBERNETES, *paths]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=120, check=False)
    said = done.stdout + done.stderr
    assert done.returncode == 0, said
    assert said.count(" passed ") == len(list(manifests(BASE)))
    assert "WARN" not in said


def test_the_scaled_object_is_as_keda_says() -> None:
    ((_, scaled),) = manifests(KEDA)
    check = (
        "import json, sys; from cloudcoil.models.keda.v1alpha1 import ScaledObject; "
        "ScaledObject.model_validate(json.load(sys.stdin))"
    )
    argv = [str(installed() / "bin" / "python"), "-c", check]
    for document, is_right in ((scaled, True), ({**scaled, "spec": {"triggers": "none"}}, False)):
        done = subprocess.run(
            argv,
            input=json.dumps(document),
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert (done.returncode == 0) == is_right, done.stderr
    settings = dict(line.split("=", 1) for line in (BASE / "settings.env").read_text().split())
    assert "STORELOG_KAFKA_TOPIC_PREFIX" not in settings
    assert str(scaled["spec"]["maxReplicaCount"]) == settings["STORELOG_KAFKA_LANES"]
    # KEDA measures the lag of one topic for each trigger.
    triggers = [trigger["metadata"] for trigger in scaled["spec"]["triggers"]]
    assert [trigger["topic"] for trigger in triggers] == list(event_topics(Settings()))
    for trigger in triggers:
        assert trigger["consumerGroup"] == settings["STORELOG_KAFKA_GROUP_ID"]
        assert trigger["bootstrapServersFromEnv"] in settings


def test_an_apply_does_not_set_back_how_many_pods_are_scaled() -> None:
    found = {(d["kind"], d["metadata"]["name"]): d for _, d in manifests(BASE)}
    scaled = found["HorizontalPodAutoscaler", "query-service"]["spec"]["scaleTargetRef"]
    assert "replicas" not in found[scaled["kind"], scaled["name"]]["spec"]
    (patch,) = yaml.safe_load((KEDA / "kustomization.yaml").read_text())["patches"]
    assert patch["target"] == {"kind": "Deployment", "name": "projector"}
    assert yaml.safe_load(patch["patch"]) == [{"op": "remove", "path": "/spec/replicas"}]


def test_each_process_has_only_the_secrets_that_it_needs() -> None:
    made = yaml.safe_load((BASE / "kustomization.yaml").read_text())["secretGenerator"]
    names = {f"storelog-{path.stem}" for path in (BASE / "secrets.example").iterdir()}
    assert {secret["name"] for secret in made} == names
    given = {}
    for _, document in manifests(BASE):
        if document["kind"] == "Deployment":
            (container,) = document["spec"]["template"]["spec"]["containers"]
            refs = [r["secretRef"]["name"] for r in container["envFrom"] if "secretRef" in r]
            given[document["metadata"]["name"]] = refs
    write, keys = "storelog-postgresql", "storelog-keys"
    assert given == {
        "command-service": [keys, write],
        "relay": [keys, write],
        "projector": [keys, "storelog-mongodb"],
        "query-service": [keys, "storelog-mongodb-read"],
    }


@pytest.mark.parametrize("name", PROCESSES)
def test_each_deployment_is_locked_down_and_watched(name: str) -> None:
    found = {(d["kind"], d["metadata"]["name"]): d for _, d in manifests(BASE)}
    spec = found["Deployment", name]["spec"]["template"]["spec"]
    assert spec["securityContext"]["runAsNonRoot"] is True
    for container in [*spec["containers"], *spec.get("initContainers", [])]:
        assert container["securityContext"]["readOnlyRootFilesystem"] is True
        assert container["resources"]["limits"]["memory"]
    (container,) = spec["containers"]
    assert container["args"] == [name, "--host", "0.0.0.0", "--port", str(PORTS[name])]
    assert container["livenessProbe"]["httpGet"]["path"] == "/health/live"
    assert container["readinessProbe"]["httpGet"]["path"] == "/health/ready"
    # Its address goes before it does, and both fit into the time it has.
    assert container["readinessProbe"]["httpGet"]["port"] in {p["name"] for p in container["ports"]}
    pause = container["lifecycle"]["preStop"]["sleep"]["seconds"]
    assert pause + 2 * STOP_WITHIN_SECONDS < spec["terminationGracePeriodSeconds"]
    labels = found["Deployment", name]["spec"]["template"]["metadata"]["labels"]
    budget = found["PodDisruptionBudget", name]["spec"]
    assert budget["selector"]["matchLabels"] == labels


@pytest.mark.parametrize("name", ["command-service", "query-service"])
def test_a_new_pod_is_ready_before_an_old_one_goes(name: str) -> None:
    found = {(d["kind"], d["metadata"]["name"]): d for _, d in manifests(BASE)}
    rollout = found["Deployment", name]["spec"]
    assert rollout["strategy"]["type"] == "RollingUpdate"
    assert rollout["strategy"]["rollingUpdate"] == {"maxUnavailable": 0, "maxSurge": 1}
    assert rollout["minReadySeconds"] > 0
    assert found["Service", name]["spec"]["ports"][0]["targetPort"] == "http"


def test_command_services_reach_the_one_that_leads() -> None:
    found = {(d["kind"], d["metadata"]["name"]): d for _, d in manifests(BASE)}
    (container,) = found["Deployment", "command-service"]["spec"]["template"]["spec"]["containers"]
    host, port = container["env"]
    assert {host["name"], port["name"]} == {"STORELOG_LEADER_HOST", "STORELOG_LEADER_PORT"}
    assert host["valueFrom"]["fieldRef"]["fieldPath"] == "status.podIP"
    assert {"name": "leader", "containerPort": int(port["value"])} in container["ports"]
    assert {"leader_host", "leader_port"} <= Settings.__dataclass_fields__.keys()
