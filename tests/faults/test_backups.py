"""Backups: what docs/backup.md says of a store that was lost, or came back older."""

import asyncio
import shutil
import signal
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlsplit

from storelog.config import Settings
from storelog.kafka import event_topics, keys_topic, watermark_topic
from storelog.local import kafka, postgres
from storelog.server_setup import set_up_servers
from support.backups import RELAYED, base_backup
from support.embedded import EmbeddedServers, bare_settings, running
from support.kafka import delete_topic
from support.projected import verified
from support.system import System, free_port, trade


def lose_kafka(settings: Settings) -> None:
    for topic in (*event_topics(settings), watermark_topic(settings), keys_topic(settings)):
        delete_topic(settings, topic)


def lose_mongodb(system: System) -> None:
    system.mongo.client.drop_database(system.mongo.name)


def stop(system: System, *names: str) -> None:
    for name in names:
        system.signal(name, signal.SIGTERM)
        assert system.exit_code(name) == 0


def run(system: System, *argv: str) -> None:
    done = system.cli(*argv)
    assert done.returncode == 0, done.stdout + done.stderr


def start_and_compare(system: System, *names: str) -> int:
    """Start the processes, do business, and prove that all agree; return a new customer's id."""
    for name in names:
        system.start(name)
    for name in names:
        system.wait_ready(name)
    customer: int = system.new_customer()["customerId"]
    system.new_order(customer, (3, 1))
    system.wait_projected()
    assert verified(system)["position"] == system.written()
    return customer


def test_everything_comes_back_from_a_base_backup_of_postgresql_alone(
    settings: Settings, tmp_path: Path
) -> None:
    # PostgreSQL's own user has to come here.
    for folder in (tmp_path, *tmp_path.parents[:3]):
        folder.chmod(folder.stat().st_mode | 0o011)
    (tmp_path / "logs").mkdir()
    with System(settings, RELAYED) as system:
        trade(system)
        system.wait_projected()
        base_backup(settings.postgres_url or "", tmp_path)
        written = system.written()
        last = system.sql("SELECT max(customer_id) AS id FROM customers")[0]["id"]
        lose_mongodb(system)
    lose_kafka(settings)
    port = free_port()
    with running(postgres.program(tmp_path, port)):
        path = urlsplit(settings.postgres_url or "").path
        url = urlsplit(postgres.url(port))._replace(path=path).geturl()
        with System(replace(settings, postgres_url=url), ()) as system:
            assert system.written() == written
            run(system, "migrate")
            run(system, "resend", "--from", "1")
            run(system, "rebuild", "--promote")
            assert start_and_compare(system, *RELAYED) > last


def test_a_lost_kafka_is_filled_from_the_log_while_commands_and_reads_go_on(
    settings: Settings,
) -> None:
    with System(settings, RELAYED) as system:
        trade(system)
        system.wait_projected()
        stop(system, "relay")
        lose_kafka(settings)
        system.new_customer()
        run(system, "migrate")
        run(system, "resend", "--from", "1")
        start_and_compare(system, "relay")


def test_a_kafka_that_came_back_from_an_older_copy_is_filled_again(
    servers: EmbeddedServers, tmp_path: Path
) -> None:
    (tmp_path / "logs").mkdir()
    port = free_port()
    broker = kafka.program(tmp_path, port, free_port())
    base = replace(servers.settings, kafka_bootstrap_servers=f"127.0.0.1:{port}")
    settings = bare_settings(servers, base)
    with System(settings, ()) as system:
        with running(broker):
            asyncio.run(set_up_servers(settings))
            for name in RELAYED:
                system.start(name)
            for name in RELAYED:
                system.wait_ready(name)
            trade(system)
            system.wait_projected()
        shutil.copytree(tmp_path / "kafka", tmp_path / "copy")
        with running(broker):
            trade(system)
            system.wait_projected()
            stop(system, "relay", "projector")
        shutil.rmtree(tmp_path / "kafka")
        shutil.copytree(tmp_path / "copy", tmp_path / "kafka")
        with running(broker):
            system.new_customer()
            system.start("relay")
            assert system.exit_code("relay", 90) == 3, system.log("relay")
            assert "storelog resend --from 1" in system.log("relay")
            run(system, "resend", "--from", "1")
            start_and_compare(system, "relay", "projector")
            stop(system, *RELAYED)
