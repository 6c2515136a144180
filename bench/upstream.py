"""The service behind the proxies that are measured: a real ASGI app that answers at once.

`python -m bench.upstream PORT`
"""

import sys
from typing import Any

import uvicorn

BODY = b'{"data": [' + b'{"party_id": "party_0198c0de0000700080000000000000aa", "stage": "customer"},' * 5 + b"{}]}"
HEADERS = [
    (b"content-type", b"application/json"),
    (b"content-length", b"%d" % len(BODY)),
    (b"etag", b'"1"'),
    (b"cache-control", b"no-store"),
    (b"x-request-id", b"0198c0de00007000800000000000000a"),
    (b"traceparent", b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00"),
]
"""What a service's answer has, and about as much of it."""


async def app(scope: Any, receive: Any, send: Any) -> None:
    """Read the request to its end, and answer."""
    while (await receive()).get("more_body"):
        pass
    await send({"type": "http.response.start", "status": 200, "headers": HEADERS})
    await send({"type": "http.response.body", "body": BODY})


if __name__ == "__main__":
    uvicorn.run(
        app,
        port=int(sys.argv[1]),
        loop="uvloop",
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
    )
