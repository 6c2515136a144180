"""Every connection between two parts of the product passes through here, and may be cut, delayed or left hanging."""

import asyncio
import os
import socket
import struct
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path

PIECE = 65_536
ABORT = struct.pack("ii", 1, 0)
"""SO_LINGER of no seconds: closing sends a reset (socket(7))."""


@dataclass(eq=False)
class Wire:
    """One connection: who opened it, to what, and what becomes of its bytes."""

    client: str
    target: str
    ends: tuple[asyncio.StreamWriter, asyncio.StreamWriter]
    """The one to the client and the one to the target."""
    flowing: asyncio.Event = field(default_factory=asyncio.Event)
    delay_s: float = 0.0
    dead: bool = False
    """Whether the client is left with a connection that leads nowhere."""

    def reset(self) -> None:
        """End it with resets to both sides."""
        for writer in self.ends:
            _reset(writer)

    def lose_target(self) -> None:
        """Close the side of the target; the client is not told, and hears nothing more."""
        self.dead = True
        _reset(self.ends[1])


Chosen = Callable[[str, str], bool]
"""Whether a connection from a client to a target is meant."""


def _reset(writer: asyncio.StreamWriter) -> None:
    if (sock := writer.get_extra_info("socket")) is not None:
        with suppress(OSError):
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, ABORT)
    writer.transport.abort()


class Wires:
    """All doors, and the connections that were opened through them."""

    def __init__(self, pids: Callable[[], Mapping[str, int]]) -> None:
        """`pids` gives the process ids by name, so that it is known who opens a connection."""
        self._pids = pids
        self.wires: set[Wire] = set()
        self.ports: dict[str, list[int]] = {}
        """Where the connections to each target end."""
        self._servers: list[asyncio.Server] = []
        self._tasks: set[asyncio.Task[None]] = set()
        self._holed: list[Chosen] = []
        self._resetting: list[Chosen] = []
        self._delayed: dict[Chosen, float] = {}

    async def door(self, target: str, ports: Iterable[int], *, at: int) -> None:
        """Have connections to the port `at` of this machine end in turn at one of `ports`, which may change later."""
        self.ports[target] = list(ports)
        turn = count()

        async def opened(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            task = asyncio.current_task()
            assert task is not None
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
            with suppress(OSError, asyncio.CancelledError):
                await self._carry(target, self._one_of(target, next(turn)), at, reader, writer)
            writer.transport.abort()

        self._servers.append(await asyncio.start_server(opened, "127.0.0.1", at, limit=PIECE))

    async def close(self) -> None:
        """Close all doors and cut every connection."""
        for server in self._servers:
            server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def chosen(self, meant: Chosen) -> list[Wire]:
        """The open connections that are meant."""
        return [wire for wire in self.wires if meant(wire.client, wire.target)]

    def reset(self, meant: Chosen) -> None:
        """Reset those that are open, and those that are opened until `heal`."""
        self._resetting.append(meant)
        for wire in self.chosen(meant):
            wire.reset()

    def lose_targets(self, meant: Chosen) -> None:
        """Leave the clients of those that are open with half a connection."""
        for wire in self.chosen(meant):
            wire.lose_target()

    def hole(self, meant: Chosen) -> None:
        """Let nothing pass, in either direction, until `heal`. What was sent arrives then."""
        self._holed.append(meant)
        self._apply()

    def delay(self, meant: Chosen, seconds: float) -> None:
        """Let everything arrive so much later, until `heal`."""
        self._delayed[meant] = seconds
        self._apply()

    def heal(self, meant: Chosen) -> None:
        """Let everything pass again."""
        self._holed = [each for each in self._holed if each != meant]
        self._resetting = [each for each in self._resetting if each != meant]
        self._delayed.pop(meant, None)
        self._apply()

    def _apply(self) -> None:
        for wire in self.wires:
            self._set(wire)

    def _set(self, wire: Wire) -> None:
        wire.delay_s = sum(s for meant, s in self._delayed.items() if meant(wire.client, wire.target))
        if any(meant(wire.client, wire.target) for meant in self._holed):
            wire.flowing.clear()
        else:
            wire.flowing.set()

    async def _carry(
        self, target: str, port: int, at: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        client = self._who(writer.get_extra_info("peername")[1], at)
        if any(meant(client, target) for meant in self._resetting):
            _reset(writer)
            return
        up_reader, up_writer = await asyncio.open_connection("127.0.0.1", port, limit=PIECE)
        wire = Wire(client, target, (writer, up_writer))
        for end in wire.ends:
            end.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._set(wire)
        self.wires.add(wire)
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(_pump(wire, reader, up_writer))
                tasks.create_task(_pump(wire, up_reader, writer))
        except* (OSError, _Over):
            pass
        finally:
            self.wires.discard(wire)
            up_writer.transport.abort()

    def _one_of(self, target: str, turn: int) -> int:
        ports = self.ports[target]
        return ports[turn % len(ports)]

    def _who(self, port: int, at: int) -> str:
        """The process that opened a connection from a port of this machine, as far as it is one of the product."""
        wanted = f"socket:[{_inode(port, at)}]"
        for name, pid in self._pids().items():
            with suppress(OSError):
                for descriptor in os.listdir(f"/proc/{pid}/fd"):
                    with suppress(OSError):
                        if os.readlink(f"/proc/{pid}/fd/{descriptor}") == wanted:
                            return name
        return "?"


class _Over(Exception):
    """One side ended: so does the connection."""


async def _pump(wire: Wire, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    to_client = writer is wire.ends[0]
    while True:
        try:
            piece = await reader.read(PIECE)
        except OSError:
            if wire.dead and to_client:
                return
            raise
        if wire.dead:
            if to_client:
                # Nothing comes from the target any more; the client's own end alone ends the connection.
                return
            if piece:
                continue
        if not piece:
            raise _Over
        if wire.delay_s:
            await asyncio.sleep(wire.delay_s)
        await wire.flowing.wait()
        if wire.dead:
            continue
        if writer.transport.is_closing():
            raise _Over
        writer.write(piece)
        await writer.drain()


def _inode(port: int, at: int) -> str:
    """Of the socket that is connected from one port to the other (proc_pid_net(5))."""
    local, remote = f":{port:04X}", f":{at:04X}"
    for line in Path("/proc/self/net/tcp").read_text().splitlines()[1:]:
        fields = line.split()
        if fields[1].endswith(local) and fields[2].endswith(remote):
            return fields[9]
    return "?"
