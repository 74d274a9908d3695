"""What the processes log of bad input: little, nothing personal, and by correlation id."""

import json
import socket
from urllib.parse import urlsplit

from storelog.web.logs import MAX_LINES
from support.embedded import EmbeddedServers, new_settings
from support.kafka import HostileRelay
from support.system import System, wait_for

BAD_REQUESTS = 150
MARIA = {"name": "Maria Oller", "email": "maria.oller@example.com", "phoneNumber": "0151-7654321"}
PERSONAL = ("Maria", "Oller", "0151-7654321", "01517654321")


def send_raw(url: str, raw: bytes) -> bytes:
    address = urlsplit(url)
    with socket.create_connection((str(address.hostname), int(address.port or 0)), 10) as wire:
        wire.sendall(raw)
        return wire.recv(4096)


def test_bad_input_neither_floods_the_logs_nor_leaves_personal_data(
    servers: EmbeddedServers,
) -> None:
    environment = {"STORELOG_LOG_FORMAT": "json"}
    processes = ("command-service", "projector", "query-service")
    with System(new_settings(servers), processes, environment) as system:
        system.new_customer(**MARIA)
        for _ in range(BAD_REQUESTS):
            assert send_raw(system.commands.url, b"GET / HTTP/9.9\r\nMaria\r\n\r\n")
            assert system.commands.post("/customers", MARIA | {"email": "Oller"}).status == 422
        hostile = HostileRelay(system.settings)
        (outgoing,) = hostile.outgoing
        hostile.send(outgoing, b'{"eventType": "CustomerCreated", "payload": {"name": "Maria"}}')
        for number in range(BAD_REQUESTS):
            hostile.send_rubbish("CustomerCreated", b"Maria Oller %d" % number)
        hostile.flush()
        letters = system.mongo["dead_letters"]
        wait_for(lambda: letters.count_documents({}) == BAD_REQUESTS + 1, "all dead letters")
        logged = {name: system.log_lines(name) for name in processes}
    for name, lines in logged.items():
        assert len(lines) <= 3 * MAX_LINES, (name, lines[-3:])
        for line in lines:
            assert not [word for word in PERSONAL if word in line], line
            assert {"event", "level", "timestamp"} <= json.loads(line).keys()
    parked = [line for line in logged["projector"] if json.loads(line)["event"] == "dead letter"]
    assert json.loads(parked[0])["correlation_id"] == outgoing.event.correlation_id
