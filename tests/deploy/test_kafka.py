import os
import signal
from pathlib import Path

import pytest
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from deploy import kafka, readiness
from deploy.supervisor import Supervisor, pids


async def topics(url: str) -> list[str]:
    admin = AIOKafkaAdminClient(bootstrap_servers=url.removeprefix("kafka://").split(","))
    await admin.start()
    try:
        return [name for name in await admin.list_topics() if not name.startswith("__")]
    finally:
        await admin.close()


async def test_a_broker_keeps_its_topics_over_kills_and_restarts_on_other_ports(tmp_path: Path) -> None:
    first = Supervisor(tmp_path)
    made = kafka.at(tmp_path, brokers=1)
    await first.start(*made.processes())
    try:
        admin = AIOKafkaAdminClient(bootstrap_servers=made.url.removeprefix("kafka://"))
        await admin.start()
        await admin.create_topics([NewTopic("kept", num_partitions=3, replication_factor=1)])
        await admin.close()
        os.kill(pids(tmp_path)["kafka-1"], signal.SIGKILL)
        await readiness.wait(made.url, seconds=60)
        assert await topics(made.url) == ["kept"]
    finally:
        await first.stop()

    second = Supervisor(tmp_path)
    again = kafka.at(tmp_path, brokers=1)
    await second.start(*again.processes())
    try:
        assert await topics(again.url) == ["kept"]
    finally:
        await second.stop()
    with pytest.raises(kafka.WrongCluster, match="1 broker"):
        kafka.at(tmp_path, brokers=3)


def test_a_cluster_id_may_look_like_an_option(tmp_path: Path) -> None:
    (tmp_path / "kafka").mkdir()
    (tmp_path / "kafka" / "cluster_id").write_text("-MkXkSYCTXq9OUwBKhBYcA")
    kafka.at(tmp_path, brokers=1)
    assert (tmp_path / "kafka" / "1" / "formatted").exists()
