import subprocess
import sys

SAYS = """
import structlog
from chassis.telemetry import configure_logging
configure_logging("INFO")
for number in range(1_000):
    structlog.get_logger().warning("something happened", number=number, why="x" * 100)
print("alive", flush=True)
import os
os._exit(0)
"""


def test_a_process_whose_log_is_on_a_full_disk_goes_on() -> None:
    with open("/dev/full", "w") as full:
        done = subprocess.run((sys.executable, "-c", SAYS), stdout=subprocess.PIPE, stderr=full, text=True, check=False)

    assert (done.returncode, done.stdout) == (0, "alive\n")
