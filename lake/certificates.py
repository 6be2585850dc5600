"""What shuts every door of the embedded store but S3: certificates that its parts show one another, and demand of whoever calls.

SeaweedFS is a handful of servers in one process. They talk over ports of 127.0.0.1, which any user of the machine, and any page in a
browser, can reach too; without more, these ports read, write and delete without a key. With mutual TLS on all of them a caller that has
no certificate of this lake's own authority is turned away in the handshake, before a byte of its request is read.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import ipaddress
import os
import shutil
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

_FOLDER = "certificates"
_CALLED = ("VOLUME", "MASTER", "FILER", "S3", "ADMIN", "WORKER", "MQ", "MSG_BROKER", "MSG_AGENT", "CLIENT")
_SERVE_HTTP = ("MASTER", "VOLUME", "FILER")
_VALID = dt.timedelta(days=36_500)
"""They are trusted by this store alone and never leave its folder: there is nobody to renew them for."""


def certified(folder: Path) -> dict[str, str]:
    """The variables that make SeaweedFS demand certificates on every port but that of S3. Makes them in `folder` at first use.

    The files are readable to their owner only; the variables hold paths, no secrets. Two processes that start at once use one set.
    """
    made = folder / _FOLDER
    if not _whole(made):
        _make(made)
    paths = {name: str(made / f"{name}.pem") for name in ("ca", "cert", "key")}
    told = {"WEED_GRPC_CA": paths["ca"], "WEED_HTTPS_CLIENT_ENABLED": "true", "WEED_HTTPS_CLIENT_CA": paths["ca"]}
    sections = [f"GRPC_{name}" for name in _CALLED] + [f"HTTPS_{name}" for name in (*_SERVE_HTTP, "CLIENT")]
    for section in sections:
        told |= {f"WEED_{section}_CERT": paths["cert"], f"WEED_{section}_KEY": paths["key"]}
    return told | {f"WEED_HTTPS_{name}_CA": paths["ca"] for name in _SERVE_HTTP}


def _whole(folder: Path) -> bool:
    return all((folder / f"{name}.pem").is_file() for name in ("ca", "cert", "key"))


def _make(folder: Path) -> None:
    """Write the authority's certificate, and one certificate with its key that all parts share. The authority's key is forgotten."""
    authority, shared = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    ours, theirs = _named("lake: the embedded store"), _named("lake")
    files = {
        "ca": _signed(ours, authority.public_key(), ours, authority, is_authority=True),
        "cert": _signed(theirs, shared.public_key(), ours, authority, is_authority=False),
        "key": shared.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()),
    }
    fresh = folder.with_name(f"{folder.name}.{os.getpid()}")
    shutil.rmtree(fresh, ignore_errors=True)
    fresh.mkdir(mode=0o700, parents=True)
    for name, text in files.items():
        with os.fdopen(os.open(fresh / f"{name}.pem", os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(text)
    if folder.exists() and not _whole(folder):  # somebody deleted part of it
        shutil.rmtree(folder)
    with contextlib.suppress(OSError):  # another process was first, and its set is as good
        fresh.rename(folder)
    shutil.rmtree(fresh, ignore_errors=True)


def _named(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


def _signed(subject: x509.Name, public: ec.EllipticCurvePublicKey, issuer: x509.Name, signer: ec.EllipticCurvePrivateKey, *, is_authority: bool) -> bytes:
    now = dt.datetime.now(dt.UTC)
    draft = (
        x509.CertificateBuilder().subject_name(subject).issuer_name(issuer).public_key(public)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(days=2))  # a clock that is set back must not lock the store
        .not_valid_after(now + _VALID)
        .add_extension(x509.BasicConstraints(ca=is_authority, path_length=None), critical=True)
    )  # fmt: skip
    if not is_authority:
        here = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1")), x509.DNSName("localhost")])
        both = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH])
        draft = draft.add_extension(here, critical=False).add_extension(both, critical=False)
    return draft.sign(signer, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)
