"""Whether a server can be reached."""

from __future__ import annotations

import socket
import time
from urllib.parse import urlparse
from urllib.request import getproxies

_PORTS = {"http": 80, "https": 443}
_PATIENCE = 10.0
_PAUSE = 1.0


def does_not_answer(uri: str, patience: float = _PATIENCE) -> str | None:
    """Return why no connection to a server can be made; None if one can, or if the server is behind a proxy.

    Args:
        uri: Address of the server; one of another kind, such as a database, is not tried.
        patience: Seconds in which a server that is being started has to answer.
    """
    address = urlparse(uri)
    if address.scheme not in _PORTS or address.hostname is None or address.scheme in getproxies():
        return None
    end = time.monotonic() + patience
    while True:
        try:
            socket.create_connection((address.hostname, address.port or _PORTS[address.scheme]), patience).close()
        except OSError as error:
            if time.monotonic() + _PAUSE > end:
                return f"it does not answer: {error}"
            time.sleep(_PAUSE)
        else:
            return None
