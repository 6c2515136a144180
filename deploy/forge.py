"""One process imports everything once and forks those that play a role: none of them pays for the import again."""

import asyncio
import gc
import importlib
import json
import os
import select
import signal
import socket
import sys
import time
import traceback
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Never

from deploy.process import MARK, Process, alive, called, die_with, die_with_me
from deploy.roles import ROLES, serve

LARGEST = 65_536
"""Bytes of a message between supervisor and forge."""
UNKNOWN = -1
"""How a process ended whose forge died before it."""


class Forked:
    """A process that was forked, with as much of `asyncio.subprocess.Process` as a supervisor needs."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self.returncode: int | None = None
        self._over = asyncio.Event()

    def send_signal(self, sent: signal.Signals) -> None:
        if self.returncode is None:
            with suppress(ProcessLookupError):
                os.kill(self.pid, sent)

    async def wait(self) -> int:
        await self._over.wait()
        assert self.returncode is not None
        return self.returncode

    def ended(self, code: int) -> None:
        self.returncode = code
        self._over.set()

    async def orphaned(self) -> None:
        """The kernel told it that its parent died: it is killed unless it ends as soon as one that is stopped."""
        until = time.monotonic() + Process.stop_s
        while alive(self.pid):
            if time.monotonic() > until:
                self.send_signal(signal.SIGKILL)
            await asyncio.sleep(0.05)
        self.ended(UNKNOWN)


class Forge:
    """The supervisor's end. The other one is started with the first process, and again when it was killed."""

    def __init__(self, run: Path, log: Path) -> None:
        self._run, self._log = run, log
        self._turn = asyncio.Lock()
        self._living: dict[int, Forked] = {}
        self._line: socket.socket | None = None
        self._listening: asyncio.Task[None] | None = None
        self._answer: asyncio.Future[Forked]

    async def open(self) -> socket.socket:
        """Have the process that forks. It imports what all need, and answers when it is done."""
        if self._line is None:
            ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            ours.setblocking(False)
            try:
                with theirs, self._log.open("ab") as log:
                    server = await asyncio.create_subprocess_exec(
                        *(sys.executable, "-P", "-m", "deploy.forge"),
                        env={**os.environ, MARK: str(self._run.resolve())},
                        stdin=theirs.fileno(),
                        stdout=log,
                        stderr=log,
                        start_new_session=True,
                        preexec_fn=die_with_me(),
                    )
            except BaseException:
                ours.close()
                raise
            self._line = ours
            self._listening = asyncio.create_task(self._listen(ours, server))
        return self._line

    async def start(self, name: str, roles: Sequence[str], variables: Mapping[str, str], log: Path) -> Forked:
        """Fork a process that plays roles, with these variables beside those of the forge."""
        asked = json.dumps({"name": name, "roles": roles, "variables": dict(variables), "log": str(log)}).encode()
        loop = asyncio.get_running_loop()
        async with self._turn:
            while True:
                line = await self.open()
                self._answer = loop.create_future()
                try:
                    await loop.sock_sendall(line, asked)
                    return await self._answer
                except ConnectionError:
                    await asyncio.sleep(0.1)

    async def close(self) -> None:
        """End the process that forks, and with it what it has forked and nobody has ended."""
        if self._line is not None and self._listening is not None:
            self._line.shutdown(socket.SHUT_RDWR)
            await self._listening

    async def _listen(self, line: socket.socket, server: asyncio.subprocess.Process) -> None:
        loop = asyncio.get_running_loop()
        pid_file = self._run / "forge.pid"
        pid_file.write_text(f"{server.pid}\n")
        try:
            while message := await loop.sock_recv(line, LARGEST):
                told: dict[str, int] = json.loads(message)
                pid = told["pid"]
                if pid not in self._living:
                    self._living[pid] = Forked(pid)
                    if not self._answer.done():
                        self._answer.set_result(self._living[pid])
                if "code" in told:
                    self._living.pop(pid).ended(told["code"])
        except ConnectionError:
            pass
        line.close()
        self._line = None
        await server.wait()
        pid_file.unlink(missing_ok=True)
        if self._turn.locked() and not self._answer.done():
            self._answer.set_exception(ConnectionError("the forge was killed"))
        left, self._living = self._living, {}
        await asyncio.gather(*(forked.orphaned() for forked in left.values()))


def main() -> None:
    """Fork a process for each message on the socket that standard input is, and tell how each ends, until it closes.

    A process tells of itself before it plays anything, so that none lives of which nobody knows.

    Nothing here may be open or running that a child would share: no thread, no event loop, no connection.
    """
    for module in {entry.partition(":")[0] for entry in ROLES.values()}:
        importlib.import_module(module)
    # What is there now is never garbage: no child looks at it, so its pages stay shared.
    gc.collect()
    gc.freeze()
    line = socket.socket(fileno=0)
    forge = os.getpid()
    living: dict[int, int] = {}
    while True:
        for ready in select.select([line.fileno(), *living], [], [])[0]:
            if ready in living:
                os.close(ready)
                pid, status = os.waitpid(living.pop(ready), 0)
                line.send(json.dumps({"pid": pid, "code": os.waitstatus_to_exitcode(status)}).encode())
            elif message := line.recv(LARGEST):
                if (pid := os.fork()) == 0:
                    play(json.loads(message), forge, line, living)
                living[os.pidfd_open(pid)] = pid
            else:
                return


def play(asked: Mapping[str, Any], forge: int, line: socket.socket, inherited: Iterable[int]) -> Never:
    """Be the process that was asked for."""
    code = 1
    try:
        die_with(forge)
        os.setsid()
        called(asked["name"])
        line.send(json.dumps({"pid": os.getpid()}).encode())
        line.close()
        for descriptor in inherited:
            os.close(descriptor)
        os.open(os.devnull, os.O_RDONLY)
        log = os.open(asked["log"], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        os.dup2(log, 1)
        os.dup2(log, 2)
        os.close(log)
        os.environ.update(asked["variables"])
        serve(asked["roles"])
        code = 0
    except BaseException:
        traceback.print_exc()
    finally:
        # Its log may be on a disk that is full.
        with suppress(OSError):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(code)


if __name__ == "__main__":
    main()
