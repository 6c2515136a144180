import socket

import pytest

from deploy import ports


def listening(port: int) -> socket.socket:
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind(("127.0.0.1", port))
    listener.listen()
    return listener


def is_given(port: int) -> bool:
    """Whether `free_port` would give it."""
    with socket.socket() as tried:
        try:
            tried.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True


def test_a_port_is_given_once_and_kept_for_whoever_listens_there_then() -> None:
    port = ports.free_port()
    for _ in range(2):
        assert not is_given(port)
        with listening(port) as server, socket.create_connection(("127.0.0.1", port)):
            server.accept()[0].close()
            assert not is_given(port)


def test_a_port_that_was_chosen_is_kept_unless_somebody_listens_there() -> None:
    with socket.socket() as chosen:
        chosen.bind(("127.0.0.1", 0))
        port = chosen.getsockname()[1]
    with listening(port), pytest.raises(OSError, match="in use"):
        ports.keep("127.0.0.1", port)
    assert is_given(port)
    ports.keep("127.0.0.1", port)
    assert not is_given(port)
