"""The certificate of a leader: made by itself, and believed because the lease in PostgreSQL has it.

Next: command_service/leading/leader.py
"""

import os
import ssl
from datetime import UTC, datetime

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

# A service's clock may be years off, and a certificate lives no longer than its process.
_FROM, _TO = datetime(1970, 1, 1, tzinfo=UTC), datetime(9999, 1, 1, tzinfo=UTC)


def make_certificate() -> tuple[str, ssl.SSLContext]:
    """Return a new certificate (PEM), and what a server with it and its private key needs."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "Storelog leader")])
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(_FROM)
        .not_valid_after(_TO)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    ).public_bytes(Encoding.PEM)
    secret = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    # The standard library takes both from files only, and there may be none that can be written.
    parts = [_readable_once(part) for part in (certificate, secret)]
    try:
        context.load_cert_chain(*(f"/dev/fd/{part}" for part in parts))
    finally:
        for part in parts:
            os.close(part)
    return certificate.decode(), context


def _readable_once(data: bytes) -> int:
    """Return a descriptor that gives the data: a pipe, which holds at least 4 KiB."""
    reading, writing = os.pipe()
    with os.fdopen(writing, "wb") as pipe:
        pipe.write(data)
    return reading


def believing(certificate: str) -> ssl.SSLContext:
    """Return what a client needs that speaks to the holder of one certificate, wherever it is."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.load_verify_locations(cadata=certificate)
    return context
