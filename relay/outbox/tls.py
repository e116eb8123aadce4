"""How an endpoint is known, and how it knows us: its own authority, a client certificate."""

import ssl
from pathlib import Path

NO_PASSWORD = "-"  # noqa: S105 - opens nothing: without one OpenSSL would ask for it at the terminal


def tls_context(
    ca_file: Path | None, client_cert: Path | None, client_key: Path | None
) -> ssl.SSLContext | None:
    """TLS 1.2 or newer with the receiver verified, or None where the system's defaults do.

    With `ca_file` its authorities alone are trusted. Raises ValueError, in words and without a path, for what cannot
    be used; reads the files now.
    """
    if ca_file is None and client_cert is None:
        return None
    try:
        context = ssl.create_default_context(cafile=ca_file)
    except (OSError, ValueError) as why:
        raise ValueError(f"ca_file: certificates in PEM are wanted: {_said(why)}") from None
    if client_cert is not None:
        _show(context, client_cert, client_key)
    return context


def _show(context: ssl.SSLContext, cert: Path, key: Path | None) -> None:
    try:
        context.load_cert_chain(cert, key, password=NO_PASSWORD)
    except (OSError, ValueError) as why:
        raise ValueError(
            "client_cert, client_key: a certificate and its key in PEM are wanted, the key not encrypted: "
            f"{_said(why)}"
        ) from None


def _said(why: OSError | ValueError) -> str:
    """OpenSSL's reason or the system's; never a path, which is the operator's own."""
    match why:
        case ssl.SSLError():
            return (why.reason or "it cannot be read").replace("_", " ").lower()
        case OSError():
            return why.strerror or "it cannot be read"
        case _:
            return "it cannot be read"
