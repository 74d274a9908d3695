"""A second broker as a managed Kafka is: SASL over TLS, client certificates, tokens."""

import subprocess
from pathlib import Path

import trustme
from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

from storelog.local.kafka import java
from storelog.local.program import Program
from support.system import free_port

USER, PASSWORD = "storelog", "a-long-secret"
_PROPERTIES = """process.roles=broker,controller
node.id=1
controller.quorum.bootstrap.servers=127.0.0.1:{controller}
listeners=SASL_SSL://127.0.0.1:{port},SSL://127.0.0.1:{mutual},CONTROLLER://127.0.0.1:{controller}
advertised.listeners=SASL_SSL://localhost:{port},SSL://localhost:{mutual},\
CONTROLLER://127.0.0.1:{controller}
listener.name.ssl.ssl.client.auth=required
controller.listener.names=CONTROLLER
inter.broker.listener.name=SASL_SSL
listener.security.protocol.map=SASL_SSL:SASL_SSL,SSL:SSL,CONTROLLER:PLAINTEXT
sasl.enabled.mechanisms=SCRAM-SHA-512,PLAIN,OAUTHBEARER
listener.name.sasl_ssl.oauthbearer.sasl.jaas.config={oauth};
sasl.mechanism.inter.broker.protocol=SCRAM-SHA-512
listener.name.sasl_ssl.scram-sha-512.sasl.jaas.config={scram} \\
  username="{user}" password="{password}";
listener.name.sasl_ssl.plain.sasl.jaas.config={plain} \\
  username="{user}" password="{password}" user_{user}="{password}";
ssl.keystore.type=PEM
ssl.keystore.location={home}/server.pem
ssl.truststore.type=PEM
ssl.truststore.location={home}/ca.pem
log.dirs={home}/data
auto.create.topics.enable=false
message.max.bytes=8388608
replica.fetch.max.bytes=8388608
group.initial.rebalance.delay.ms=0
offsets.topic.num.partitions=1
offsets.topic.replication.factor=1
transaction.state.log.num.partitions=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
log.cleaner.dedupe.buffer.size=8388608
"""
_SECURITY = "org.apache.kafka.common.security"


def secure_broker(home: Path) -> tuple[Program, str, str, Path]:
    """Return the broker, its address for SASL and for client certificates, and its CA's file.

    In `home` are then `client.pem` and `client.key` of a client whose certificate it accepts. It
    takes any token that names its subject, signed or not.
    """
    port, mutual, controller = free_port(), free_port(), free_port()
    _write_certificates(home)
    properties = home / "server.properties"
    properties.write_text(
        _PROPERTIES.format(
            port=port,
            mutual=mutual,
            controller=controller,
            home=home,
            user=USER,
            password=PASSWORD,
            scram=f"{_SECURITY}.scram.ScramLoginModule required",
            oauth=f"{_SECURITY}.oauthbearer.OAuthBearerLoginModule required",
            plain=f"{_SECURITY}.plain.PlainLoginModule required",
        )
    )
    argv = [*java(), "kafka.tools.StorageTool", "format", "--standalone", "-t", "c" * 22]
    secret = f"SCRAM-SHA-512=[name={USER},password={PASSWORD}]"
    argv += ["-c", str(properties), "--add-scram", secret]
    subprocess.run(argv, check=True, capture_output=True, timeout=60)
    address, authority = f"localhost:{port}", home / "ca.pem"
    log = home / "kafka.log"
    argv = [*java(), "kafka.Kafka", str(properties)]
    broker = Program("secure-kafka", argv, log, lambda: _is_ready(address, authority))
    return broker, address, f"localhost:{mutual}", authority


def _write_certificates(home: Path) -> None:
    authority = trustme.CA()
    server = authority.issue_cert("localhost")
    key = load_pem_private_key(server.private_key_pem.bytes(), None)
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    chain = b"".join(blob.bytes() for blob in server.cert_chain_pems)
    (home / "server.pem").write_bytes(pem + chain)
    authority.cert_pem.write_to_path(home / "ca.pem")
    client = authority.issue_cert("shop@example.com")
    client.private_key_pem.write_to_path(home / "client.key")
    client.cert_chain_pems[0].write_to_path(home / "client.pem")


def _is_ready(address: str, authority: Path) -> bool:
    admin = AdminClient(
        {
            "bootstrap.servers": address,
            "security.protocol": "SASL_SSL",
            "sasl.mechanism": "SCRAM-SHA-512",
            "sasl.username": USER,
            "sasl.password": PASSWORD,
            "ssl.ca.location": str(authority),
            "log_level": 0,
        }
    )
    try:
        return bool(admin.list_topics(timeout=2).brokers)
    except KafkaException:
        return False
