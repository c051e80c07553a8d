"""A certificate authority of a test's own, and what it signs for 127.0.0.1."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    KeySerializationEncryption,
    NoEncryption,
    PrivateFormat,
)
from cryptography.hazmat.primitives.serialization.pkcs12 import serialize_key_and_certificates
from cryptography.x509.oid import NameOID


class Authority:
    """Signs certificates; its own is `ca.pem` in the directory."""

    def __init__(self, directory: Path, name: str) -> None:
        self._directory = directory
        directory.mkdir(parents=True, exist_ok=True)
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = _named(name)
        extension = x509.BasicConstraints(ca=True, path_length=0)
        signed = _bare(self._name, self._name, self._key.public_key()).add_extension(extension, critical=True)
        self._certificate = signed.sign(self._key, hashes.SHA256())
        self.ca = directory / "ca.pem"
        self.ca.write_bytes(self._certificate.public_bytes(Encoding.PEM))

    def issue(self, name: str, passphrase: str | None = None) -> tuple[Path, Path]:
        """A certificate for 127.0.0.1 and its private key, encrypted if there is a passphrase; both PEM files."""
        key, certificate = self._signed(name)
        closed: KeySerializationEncryption = NoEncryption()
        if passphrase is not None:
            closed = BestAvailableEncryption(passphrase.encode())
        cert_file, key_file = self._directory / f"{name}.pem", self._directory / f"{name}.key"
        cert_file.write_bytes(certificate.public_bytes(Encoding.PEM))
        key_file.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, closed))
        return cert_file, key_file

    def keystore(self, name: str, passphrase: str) -> bytes:
        """A certificate for 127.0.0.1 and its private key, as Java keeps them."""
        key, certificate = self._signed(name)
        closed = BestAvailableEncryption(passphrase.encode())
        return serialize_key_and_certificates(name.encode(), key, certificate, [self._certificate], closed)

    def _signed(self, name: str) -> tuple[ec.EllipticCurvePrivateKey, x509.Certificate]:
        key = ec.generate_private_key(ec.SECP256R1())
        places = x509.SubjectAlternativeName([x509.DNSName("localhost"), x509.IPAddress(ip_address("127.0.0.1"))])
        request = _bare(_named(name), self._name, key.public_key()).add_extension(places, critical=False)
        return key, request.sign(self._key, hashes.SHA256())


def _named(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


def _bare(subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    return x509.CertificateBuilder(
        issuer_name=issuer,
        subject_name=subject,
        public_key=key,
        serial_number=x509.random_serial_number(),
        not_valid_before=now - timedelta(minutes=5),
        not_valid_after=now + timedelta(days=1),
    )
