"""Topics made by other tools: `migrate` and `doctor` say what their settings mean."""

from confluent_kafka.admin import (  # type: ignore[attr-defined]
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
)

from storelog.config import Settings
from storelog.kafka import client_settings
from support.system import System


def set_on(settings: Settings, name: str, value: str) -> None:
    """Set it on one of the topics of events."""
    topic = f"{settings.kafka_topic_prefix}OrderCreated"
    entry = ConfigEntry(name, value, incremental_operation=AlterConfigOpType.SET)
    resource = ConfigResource(ConfigResource.Type.TOPIC, topic, incremental_configs=[entry])
    admin = AdminClient(client_settings(settings))
    for done in admin.incremental_alter_configs([resource]).values():
        done.result(30)


def test_migrate_and_doctor_say_what_the_settings_of_topics_mean(settings: Settings) -> None:
    system = System(settings)
    set_on(settings, "retention.ms", "604800000")
    done = system.cli("migrate")
    assert done.returncode == 0, done.stderr
    assert "Warning: Kafka: topic " in done.stdout
    assert "OrderCreated keeps only 168 hours" in done.stdout
    assert "OrderCreated keeps only 168 hours" in system.cli("doctor").stdout
    set_on(settings, "cleanup.policy", "compact")
    done = system.cli("migrate")
    assert (done.returncode, done.stderr.count("\n")) == (3, 1)
    assert "OrderCreated is compacted" in done.stderr
