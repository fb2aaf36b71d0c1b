"""The keys with which a cluster's machines know each other: a certificate authority's word for one pair."""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from grader.errors import UsageError

if TYPE_CHECKING:
    from pathlib import Path

CA, CERTIFICATE, KEY = "ca.pem", "certificate.pem", "key.pem"
"""File names in a folder of keys."""
LIFETIME = timedelta(days=365)


def make_keys(directory: Path) -> None:
    """Make a new folder of keys that nobody but its owner can read.

    The authority's own key is kept nowhere, so that there will never be another pair.

    Raises:
        UsageError: the folder exists, or cannot be made.
    """
    files = _keys()
    try:
        directory.mkdir(mode=0o700)
        for name, content in files.items():
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
            with os.fdopen(os.open(directory / name, flags, 0o600), "wb") as file:
                file.write(content)
    except FileExistsError:
        raise UsageError(f"{directory} exists: name a new folder") from None
    except OSError as error:
        raise UsageError(f"{directory} cannot be made: {error.strerror}") from error


def known_keys(directory: Path) -> dict[str, str]:
    """Name -> path of the files in a folder of keys.

    Raises:
        UsageError: one is missing, or others can read the key.
    """
    for name in (CA, CERTIFICATE, KEY):
        if not (directory / name).is_file():
            raise UsageError(f"--keys {directory}: there is no {name} (`grader cluster keys` makes it)")
    if (directory / KEY).stat().st_mode & 0o077:
        raise UsageError(f"--keys {directory}: others can read {KEY}: chmod 600 {directory / KEY}")
    return {name: str(directory / name) for name in (CA, CERTIFICATE, KEY)}


def _keys() -> dict[str, bytes]:
    try:
        from cryptography import x509
        from cryptography.hazmat.primitives import hashes, serialization
        from cryptography.hazmat.primitives.asymmetric import ec
    except ImportError:
        raise UsageError("a cluster's keys need: pip install 'mlops-grader[cluster]'") from None
    now = datetime.now(UTC)
    ca_key, key = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))

    def signed(name: str, of: ec.EllipticCurvePrivateKey, *, ca: bool) -> bytes:
        subject, issuer = (
            x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, each)])
            for each in (name, "grader cluster authority")
        )
        built = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(issuer)
            .public_key(of.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(hours=1))  # clocks differ
            .not_valid_after(now + LIFETIME)
            .add_extension(x509.BasicConstraints(ca=ca, path_length=0 if ca else None), critical=True)
            .add_extension(_usage(ca=ca), critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(of.public_key()), critical=False)
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_public_key(ca_key.public_key()), critical=False
            )
        )
        return built.sign(ca_key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)

    def _usage(*, ca: bool) -> x509.KeyUsage:
        return x509.KeyUsage(
            digital_signature=not ca,
            key_cert_sign=ca,
            crl_sign=ca,
            content_commitment=False,
            key_encipherment=False,
            data_encipherment=False,
            key_agreement=False,
            encipher_only=False,
            decipher_only=False,
        )

    return {
        CA: signed("grader cluster authority", ca_key, ca=True),
        CERTIFICATE: signed("grader cluster", key, ca=False),
        KEY: key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        ),
    }
