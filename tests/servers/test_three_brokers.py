"""Three brokers with three copies, of which one may be away: docs/kafka.md."""

import base64
import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from uuid import uuid4

import pytest
from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

from storelog.config import Settings
from storelog.local import kafka
from storelog.local.program import Program
from support.backups import RELAYED
from support.embedded import EmbeddedServers, new_settings, running
from support.projected import verified
from support.system import System, free_port, trade

pytestmark = pytest.mark.servers

HOST = "127.0.0.1"
COUNT = 3
# Behind the embedded broker's properties: of two lines with one name Java takes the last.
_MORE = """node.id={number}
controller.quorum.bootstrap.servers={controllers}
offsets.topic.replication.factor=3
transaction.state.log.replication.factor=3
min.insync.replicas=2
"""


def new_id() -> str:
    """Return an id as Kafka writes it: 16 bytes in URL-safe Base64, without a dash in front."""
    return base64.urlsafe_b64encode(b"\0" + uuid4().bytes[1:]).decode().rstrip("=")


@dataclass
class Cluster:
    """Its brokers, each of which is a controller too, and the address of all."""

    brokers: list[Program]
    address: str

    def kill(self, number: int) -> None:
        process = self.brokers[number].process
        assert process is not None
        os.killpg(process.pid, signal.SIGKILL)
        process.wait(10)


def make(home: Path) -> Cluster:
    """Write the brokers' settings and format their storage."""
    ports = [free_port() for _ in range(COUNT)]
    controllers = [f"{HOST}:{free_port()}" for _ in range(COUNT)]
    voters = ",".join(f"{n}@{place}:{new_id()}" for n, place in enumerate(controllers, 1))
    address = ",".join(f"{HOST}:{port}" for port in ports)
    cluster, brokers = new_id(), []
    argv = [*kafka.java(), "kafka.tools.StorageTool", "format", "-t", cluster]
    argv += ["-c", kafka.PROPERTIES, "--initial-controllers", voters]
    for number, (port, controller) in enumerate(zip(ports, controllers, strict=True), 1):
        folder = home / str(number)
        folder.mkdir()
        said = kafka._PROPERTIES.format(
            host=HOST, port=port, advertised=port, controller=controller.rpartition(":")[2]
        )
        said += _MORE.format(number=number, controllers=",".join(controllers))
        (folder / kafka.PROPERTIES).write_text(said, "utf-8")
        subprocess.run(argv, cwd=folder, check=True, capture_output=True, timeout=60)
        brokers.append(
            Program(
                f"kafka-{number}",
                [*kafka.java(), "kafka.Kafka", kafka.PROPERTIES],
                home / f"kafka-{number}.log",
                lambda: len(seen(address)) == COUNT,
                folder=folder,
            )
        )
    # Two are a majority; the third one has its turn when all are started.
    for broker in brokers[:-1]:
        broker.is_ready = lambda: True
    return Cluster(brokers, address)


def seen(address: str) -> set[int]:
    """Return the numbers of the brokers that the cluster knows of."""
    admin = AdminClient({"bootstrap.servers": address, "log_level": 0})
    try:
        return set(admin.list_topics(timeout=2).brokers)
    except KafkaException:
        return set()


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    home = Path(tempfile.mkdtemp(prefix="storelog-tests-"))
    try:
        with ExitStack() as stack:
            made = make(home)
            for broker in made.brokers:
                stack.enter_context(running(broker))
            yield made
    finally:
        shutil.rmtree(home, ignore_errors=True)


def on(cluster: Cluster, servers: EmbeddedServers, copies: int) -> Settings:
    base = replace(servers.settings, kafka_bootstrap_servers=cluster.address)
    return new_settings(servers, replace(base, kafka_replication_factor=copies))


def test_one_copy_is_told_by_migrate_and_doctor_and_three_are_not(
    cluster: Cluster, servers: EmbeddedServers
) -> None:
    for copies, is_told in ((1, True), (3, False)):
        # What the setting says now is not what the topics have.
        system = System(replace(on(cluster, servers, copies), kafka_replication_factor=4 - copies))
        for verb in ("migrate", "doctor"):
            said = system.cli(verb).stdout
            assert ("has one copy on 3 brokers" in said) == is_told, said


def test_orders_go_the_whole_way_while_one_of_three_brokers_is_killed(
    cluster: Cluster, servers: EmbeddedServers
) -> None:
    with System(on(cluster, servers, 3), RELAYED) as system:
        trade(system)
        system.wait_projected()
        cluster.kill(0)
        for _ in range(20):
            system.new_order(4, (3, 1))
        system.wait_projected()
        assert verified(system)["position"] == system.written()
