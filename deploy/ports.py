import socket
from secrets import SystemRandom


def free_port() -> int:
    """A port of this machine that nobody has, below the range from which outgoing connections take theirs.

    It is kept for what this process starts: nobody is given it again as long as this process lives.
    """
    while True:
        port = SystemRandom().randint(20_000, 31_999)
        tried = socket.socket()
        try:
            tried.bind(("127.0.0.1", port))
        except OSError:
            tried.close()
            continue
        _keep(tried)
        return port


def keep(host: str, port: int) -> None:
    """Keep a port that was chosen already. Raises OSError where somebody listens there."""
    kept = socket.socket()
    kept.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        kept.bind((host, port))
    except OSError:
        kept.close()
        raise
    _keep(kept)


def _keep(bound: socket.socket) -> None:
    """Leave it open, bound and not listening: who sets SO_REUSEADDR, as servers do, may listen there, and no other."""
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    bound.detach()
