"""With `sslmode=verify-full`, the server's certificate is of another host, of another authority, or expired.

Group: connections
Danger: a server between the worker and Postgres reads the password and every row; or the certificate was renewed
wrongly, and the message says that the server is down.
Answer: nothing is sent, not even the user's name: no run starts, source and ledger alike. The message has the reason,
and the advice names the certificate and `sslrootcert`, not the network. With the right certificate, all connections of
a tick are verified, including those that read past libpq.
"""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from pgsnow.ledger.ledger import Ledger
from pgsnow.model.errors import PgsnowError
from pgsnow.model.settings.settings import Settings
from pgsnow.postgres.connection import Source
from tests.integration.postgres.terminator import Terminator
from tests.world import MemoryWorld

PEM = serialization.Encoding.PEM


class Authority:
    """A certificate authority of a test, with its certificate in a file."""

    def __init__(self, folder: Path, name: str) -> None:
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        self._folder = folder
        self.file = folder / f"{name}.pem"
        made = self._builder(self._name, self._key.public_key(), timedelta(days=1)).add_extension(
            x509.BasicConstraints(ca=True, path_length=0), critical=True
        )
        self.file.write_bytes(made.sign(self._key, hashes.SHA256()).public_bytes(PEM))

    def _builder(
        self, subject: x509.Name, key: ec.EllipticCurvePublicKey, valid: timedelta
    ) -> x509.CertificateBuilder:
        now = datetime.now(UTC)
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self._name)
            .public_key(key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(days=9))
            .not_valid_after(now + valid)
        )

    def context(self, host: str, valid: timedelta = timedelta(days=1)) -> ssl.SSLContext:
        """TLS of a server whose certificate is of this host, and valid until so long from now."""
        key = ec.generate_private_key(ec.SECP256R1())
        try:
            named: x509.GeneralName = x509.IPAddress(ip_address(host))
        except ValueError:
            named = x509.DNSName(host)
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, host)])
        made = self._builder(subject, key.public_key(), valid).add_extension(
            x509.SubjectAlternativeName([named]), critical=False
        )
        chain, secret = self._folder / "server.pem", self._folder / "server.key"
        chain.write_bytes(made.sign(self._key, hashes.SHA256()).public_bytes(PEM))
        secret.write_bytes(
            key.private_bytes(PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        )
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(chain, secret)
        return context


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path, "trusted")


@contextmanager
def behind(world: MemoryWorld, tls: ssl.SSLContext, root: Path) -> Iterator[Settings]:
    """Settings that lead to the world's server through TLS, and verify it by this authority."""
    owner = world.env["POSTGRES_DSN"]
    with Terminator(int(str(conninfo_to_dict(owner)["port"])), tls).running() as proxy:
        dsn = make_conninfo(
            owner, host="127.0.0.1", port=proxy.port, sslmode="verify-full", sslrootcert=str(root)
        )
        yield Settings.from_env({**world.env, "POSTGRES_DSN": dsn})


def refusals(settings: Settings) -> list[PgsnowError]:
    """Why source and ledger are not connected to."""
    found: list[PgsnowError] = []
    ledger = Ledger(settings.ledger, "public")
    for connect in (lambda: Source(settings.source).connect().close(), ledger.run_log.watermarks):
        with pytest.raises(PgsnowError) as caught:
            connect()
        found.append(caught.value)
    ledger.close()
    return found


def test_a_right_certificate_is_verified_in_every_connection(
    memory_world: MemoryWorld, authority: Authority
) -> None:
    """A tick reads rows, deletes and the ledger through TLS."""
    memory_world.sql("insert into users (id, name) select g, 'n' from generate_series(1, 100) g")
    with behind(memory_world, authority.context("127.0.0.1"), authority.file) as settings:
        memory_world.settings = settings
        with memory_world.engine() as engine:
            assert engine.tick().failures == ()
        memory_world.close_engine()
    memory_world.assert_equal()


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ("host", 'does not match host name "127.0.0.1"'),
        ("authority", "certificate verify failed"),
        ("expired", "certificate verify failed"),
        ("no file", "nowhere.pem"),
    ],
)
def test_a_wrong_certificate_is_refused_with_its_reason(
    memory_world: MemoryWorld, authority: Authority, tmp_path: Path, wrong: str, says: str
) -> None:
    """By source and ledger. The advice is about certificates."""
    root = authority.file
    tls = authority.context("db.example.org" if wrong == "host" else "127.0.0.1")
    if wrong == "authority":
        root = Authority(tmp_path, "another").file
    elif wrong == "expired":
        tls = authority.context("127.0.0.1", -timedelta(days=1))
    elif wrong == "no file":
        root = tmp_path / "nowhere.pem"
    with behind(memory_world, tls, root) as settings:
        for error in refusals(settings):
            assert says in str(error)
            assert "sslrootcert" in error.advice


def test_a_server_without_tls_is_refused(memory_world: MemoryWorld, authority: Authority) -> None:
    """No connection falls back to plain text."""
    dsn = make_conninfo(
        memory_world.env["POSTGRES_DSN"], sslmode="verify-full", sslrootcert=str(authority.file)
    )
    for error in refusals(Settings.from_env({**memory_world.env, "POSTGRES_DSN": dsn})):
        assert "does not support SSL" in str(error)
        assert "sslrootcert" in error.advice
