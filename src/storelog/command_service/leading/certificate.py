"""The leader's certificate: self-signed, and trusted because the lease in PostgreSQL has it.

Next: command_service/leading/leader.py
"""

import asyncio
import os
import ssl
import sys
from importlib import import_module

MAKING_SECONDS = 10.0
_KEY_BEGINS = b"-----BEGIN PRIVATE KEY-----"
_MAKER = ("-m", "storelog.command_service.leading.new_certificate")


class NotMade(Exception):
    """The certificate could not be made; the text says why."""


async def make_certificate() -> tuple[str, ssl.SSLContext]:
    """Return a new certificate (PEM), and what a server with it and its private key needs.

    Raises NotMade.
    """
    try:
        output, errors, code = await _made()
    except (OSError, TimeoutError) as error:
        raise NotMade(repr(error)) from error
    certificate, begins, secret = output.partition(_KEY_BEGINS)
    if code or not begins:
        raise NotMade(errors.decode(errors="replace")[-500:] or f"exit code {code}")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    # `ssl` reads both from files only, and the file system may be read-only: pipes serve as files.
    parts = [_readable_once(part) for part in (certificate, begins + secret)]
    try:
        context.load_cert_chain(*(f"/dev/fd/{part}" for part in parts))
    finally:
        for part in parts:
            os.close(part)
    return certificate.decode(), context


async def _made() -> tuple[bytes, bytes, int | None]:
    """Return the making process's stdout, stderr and exit code."""
    pipe = asyncio.subprocess.PIPE
    try:
        maker = await asyncio.create_subprocess_exec(
            sys.executable, *_MAKER, stdout=pipe, stderr=pipe
        )
    except PermissionError:
        # This user may not start a second interpreter, so the library is loaded here after all.
        made_here: bytes = await asyncio.to_thread(import_module(_MAKER[1]).new_certificate)
        return made_here, b"", 0
    try:
        async with asyncio.timeout(MAKING_SECONDS):
            output, errors = await maker.communicate()
    finally:
        if maker.returncode is None:
            maker.kill()
            await maker.wait()
    return output, errors, maker.returncode


def _readable_once(data: bytes) -> int:
    """Return a descriptor that gives the data: a pipe, which holds at least 4 KiB."""
    reading, writing = os.pipe()
    with os.fdopen(writing, "wb") as pipe:
        pipe.write(data)
    return reading


def trusting(certificate: str) -> ssl.SSLContext:
    """Return the TLS context of a client that trusts one certificate, at any address."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    # The certificate itself is pinned, so the name in it proves nothing more.
    context.check_hostname = False
    context.load_verify_locations(cadata=certificate)
    return context
