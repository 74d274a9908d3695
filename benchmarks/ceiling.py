"""How fast is the load generator? Against a server that answers everything with the same bytes."""

import asyncio
import subprocess
import sys

import uvloop

from benchmarks.figures import Figure, Report
from benchmarks.load import request, run_load
from support.system import free_port, wait_for

_BODY = b'{"orderId":1}' * 40
_ANSWER = b"HTTP/1.1 201 Created\r\ncontent-length: %d\r\n\r\n%b" % (len(_BODY), _BODY)


def measure(report: Report, seconds: float) -> None:
    """Measure the generator's own limit in requests a second."""
    port = free_port()
    server = subprocess.Popen([sys.executable, "-m", "benchmarks.ceiling", str(port)])
    try:
        url = f"http://127.0.0.1:{port}"
        wait_for(lambda: _answers(url), "the server that does nothing", 20)
        one = request(url, "POST", "/orders", b'{"customerId": 1}' * 8)
        outcome = run_load(url, lambda: one, 64, seconds)
    finally:
        server.terminate()
        server.wait(10)
    report.add(
        Figure("load generator", "requests to a server that does nothing", outcome.rate, "/s")
    )


def _answers(url: str) -> bool:
    once = iter([request(url, "GET", "/")])
    try:
        return bool(run_load(url, lambda: next(once, None), 1).statuses)
    except OSError:
        return False


class _Nothing(asyncio.Protocol):
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._transport.write(_ANSWER)  # type: ignore[attr-defined]


async def _serve(port: int) -> None:
    server = await asyncio.get_running_loop().create_server(_Nothing, "127.0.0.1", port)
    await server.serve_forever()


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_serve(int(sys.argv[1])))
