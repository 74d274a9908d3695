"""A file server as the official one is: archives, their SHA-256 beside them, ranges; may break."""

import hashlib
import io
import stat
import tarfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


class FileServer:
    """Serves `files` by their paths; `break_after` bytes of the next archive, it hangs up."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.sums: dict[str, str] = {}
        self.break_after: int | None = None
        self.sent: list[tuple[str, int]] = []
        outer = self

        class _Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                outer._answer(self)

            def log_message(self, format: str, *args: Any) -> None:
                return None

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"

    def add(self, path: str, content: bytes) -> None:
        self.files[path] = content
        self.sums[path] = hashlib.sha256(content).hexdigest()

    def _answer(self, request: BaseHTTPRequestHandler) -> None:
        path = request.path.removeprefix("/")
        if path.endswith(".sha256") and path.removesuffix(".sha256") in self.files:
            name = path.removesuffix(".sha256")
            content, start = f"{self.sums[name]}  {name}\n".encode(), 0
        elif path in self.files:
            content = self.files[path]
            start = int((request.headers["Range"] or "bytes=0-")[6:].rstrip("-"))
            self.sent.append((path, start))
        else:
            request.send_error(404)
            return
        if start >= len(content):
            request.send_error(416)
            return
        request.send_response(206 if start else 200)
        request.send_header("Content-Length", str(len(content) - start))
        request.end_headers()
        end = len(content)
        if self.break_after is not None and not path.endswith(".sha256"):
            end, self.break_after = self.break_after, None
        request.wfile.write(content[start:end])

    def run(self) -> None:
        self._server.serve_forever(poll_interval=0.1)

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@contextmanager
def serving() -> Iterator[FileServer]:
    """Serve files for as long as the block runs."""
    server = FileServer()
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        yield server
    finally:
        server.close()
        thread.join(10)


def stand_in_archive(version: str, script: str, folder: str = "mongodb-stand-in") -> bytes:
    """Return an archive with what the official one has, its `mongod` a script."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as archive:
        _add(archive, f"{folder}/bin/mongod", script, 0o755)
        _add(archive, f"{folder}/bin/mongos", "#!/bin/sh\nexit 1\n", 0o755)
        _add(archive, f"{folder}/LICENSE-Community.txt", "the licence\n", 0o644)
        _add(archive, f"{folder}/../../outside", f"out of {version}\n", 0o644)
    return packed.getvalue()


def _add(archive: tarfile.TarFile, name: str, text: str, mode: int) -> None:
    member = tarfile.TarInfo(name)
    member.size, member.mode = len(text.encode()), stat.S_IFREG | mode
    archive.addfile(member, io.BytesIO(text.encode()))
