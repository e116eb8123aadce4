"""The webhook secret the relay makes for itself when the operator gave none: one line, readable by its owner.

Making it is an act, so `load` only reads it; whoever starts the relay calls `ensure_webhook_secret` first.
"""

import os
import secrets
from base64 import b64encode
from collections.abc import Callable
from pathlib import Path
from tempfile import NamedTemporaryFile

from relay.core.obstacle import remedy_of
from relay.errors import SettingsError

USUAL_OUTBOX = Path("typing-relay.db")
"""Where the outbox is, unless the settings say elsewhere."""

_SECRET_BYTES = 32  # Standard Webhooks asks for 24..64


def beside(outbox: Path) -> Path:
    """Where the secret of the relay with this outbox is kept."""
    return Path(f"{outbox}.secret")


def read(path: Path) -> str | None:
    """The secret in the file, or None if there is no such file yet."""
    try:
        return path.read_text(encoding="ascii").strip()
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError) as why:
        raise SettingsError(f"{path}: a readable file holding one whsec_… line is wanted") from why


def ensure_webhook_secret(path: Path, *, random: Callable[[int], bytes] = secrets.token_bytes) -> bool:
    """Makes the file with a fresh secret, mode 0600; False if there is one already, which is left alone.

    Print or log the path only. Raises SettingsError where the file cannot be written.
    """
    line = f"whsec_{b64encode(random(_SECRET_BYTES)).decode()}\n".encode()
    try:
        # Linked when whole: a crash leaves no half a secret, and of two starting at once the first one's stays.
        with NamedTemporaryFile(dir=path.parent, prefix=f".{path.name}.") as file:  # made with mode 0600
            file.write(line)
            file.flush()
            os.fsync(file.fileno())
            os.link(file.name, path)
    except FileExistsError:
        return False
    except OSError as why:
        raise SettingsError(
            f"{path}: a place to keep the generated webhook secret is wanted, but: {why.strerror}; "
            f"{remedy_of(why.errno)}, or set WEBHOOK_SECRET"
        ) from why
    return True
