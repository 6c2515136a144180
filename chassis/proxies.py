"""What a proxy in front says of its client, believed where the proxy is trusted."""

from typing import TypeAlias

from uvicorn._types import HTTPScope
from uvicorn.middleware.proxy_headers import _TrustedHosts

TrustedProxies: TypeAlias = _TrustedHosts
"""Made of addresses and networks, separated by commas."""


def forwarded(scope: HTTPScope, trusted: TrustedProxies) -> None:
    """Have the scope of a request say where it came from before the proxies that are trusted, and by which scheme.

    What anybody else says in `X-Forwarded-For` and `X-Forwarded-Proto` is ignored.
    """
    client = scope["client"]
    if client is None or client[0] not in trusted:
        return
    scheme, addresses = b"", []
    for name, value in scope["headers"]:
        if name == b"x-forwarded-proto":
            scheme = value.strip()
        elif name == b"x-forwarded-for":
            addresses.append(value)
    if scheme in (b"http", b"https"):
        scope["scheme"] = scheme.decode()
    if addresses:
        host, port = trusted.get_trusted_client_address(b", ".join(addresses).decode("latin-1"))
        if host:
            scope["client"] = (host, port)
