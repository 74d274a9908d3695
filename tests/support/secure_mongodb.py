"""A MongoDB as Atlas is: TLS, users with roles, and an address that is found by DNS."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import dns.message
import dns.rrset
import trustme
from pymongo import MongoClient

from storelog.local import mongodb
from storelog.local.program import Program
from support.system import free_port, wait_for

CLUSTER, NODE = "cluster.storelog.test", "node.storelog.test"
USERS = {"projector": "readWrite", "query": "read"}
PASSWORD = "a-long-secret"


class SecureMongoDb:
    """Use it as a context; `uri(user)` is its address for one of the users."""

    def __init__(self, home: Path) -> None:
        self._home = home
        self.port = free_port()
        authority = trustme.CA()
        server = authority.issue_cert("localhost", "127.0.0.1", NODE)
        self._cert, self._key = home / "server.pem", home / "server.key"
        self.authority = home / "ca.pem"
        authority.cert_pem.write_to_path(self.authority)
        server.private_key_pem.write_to_path(self._key)
        for blob in server.cert_chain_pems:
            blob.write_to_path(self._cert, append=True)
        self._program: Program | None = None

    def __enter__(self) -> "SecureMongoDb":
        self._start([])
        client: MongoClient[dict[str, Any]] = MongoClient("127.0.0.1", self.port)
        for user, role in USERS.items():
            roles = [{"role": role, "db": "storelog"}]
            client["storelog"].command("createUser", user, pwd=PASSWORD, roles=roles)
        client.close()
        if self._program is not None and self._program.files is not None:
            # As the supervisor notes it: what is there now is to stay.
            self._program.files.has_started()
        self._stop()
        secured = ["--auth", "--tls-cert-file", str(self._cert), "--tls-key-file", str(self._key)]
        self._start(secured)
        return self

    def __exit__(self, *_: object) -> None:
        self._stop()

    def uri(self, user: str) -> str:
        options = f"directConnection=true&tls=true&tlsCAFile={self.authority}"
        return f"mongodb://{user}:{PASSWORD}@localhost:{self.port}/storelog?{options}"

    def srv_uri(self, user: str) -> str:
        options = f"tlsCAFile={self.authority}"
        return f"mongodb+srv://{user}:{PASSWORD}@{CLUSTER}/storelog?{options}"

    def _start(self, more: list[str]) -> None:
        (self._home / "logs").mkdir(exist_ok=True)
        program = mongodb.program(self._home, self.port)
        program.argv += more
        program.is_ready = self._is_listening
        program.start()
        self._program = program

        def ready() -> bool:
            assert not program.look(), program.last_words()
            return program.state == "ready"

        wait_for(ready, f"the server: {program.last_words()}", 60)

    def _is_listening(self) -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0

    def _stop(self) -> None:
        assert self._program is not None
        self._program.ask_to_stop()
        self._program.wait_stopped()


@contextmanager
def name_server(port: int) -> Iterator[int]:
    """Resolve CLUSTER's SRV record to NODE and `port`, and nothing else."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind(("127.0.0.1", 0))
        server.settimeout(0.2)
        done = threading.Event()

        def serve() -> None:
            while not done.is_set():
                try:
                    raw, client = server.recvfrom(4096)
                except TimeoutError:
                    continue
                answer = dns.message.make_response(dns.message.from_wire(raw))
                question = answer.question[0]
                if question.to_text().startswith(f"_mongodb._tcp.{CLUSTER}. IN SRV"):
                    record = f"0 0 {port} {NODE}."
                    answer.answer.append(
                        dns.rrset.from_text(question.name, 60, "IN", "SRV", record)
                    )
                server.sendto(answer.to_wire(), client)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        try:
            yield server.getsockname()[1]
        finally:
            done.set()
            thread.join(5)
