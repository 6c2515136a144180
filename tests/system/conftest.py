from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from shutil import rmtree
from typing import Protocol

import pytest

from tests.system.product import Product


class Start(Protocol):
    def __call__(self, *command: str, ahead_s: float = 0) -> AbstractContextManager[Product]: ...


@pytest.fixture(scope="session")
def start(tmp_path_factory: pytest.TempPathFactory) -> Start:
    """Run a product, empty and on a folder of its own, for as long as a block lasts."""

    @contextmanager
    def started(*command: str, ahead_s: float = 0) -> Iterator[Product]:
        product = Product(tmp_path_factory.mktemp(command[0]) / "data", *command)
        product.up(ahead_s=ahead_s)
        try:
            yield product
        finally:
            product.down()
        # Of whoever passed nothing stays: a whole run would fill a small disk. What failed stays to be looked at.
        rmtree(product.folder.parent)

    return started


@pytest.fixture(scope="package")
def shared(start: Start) -> Iterator[Product]:
    """A product that several tests use, each with people of its own; none stops a part of it."""
    with pytest.MonkeyPatch.context() as variables:
        variables.setenv("GATEWAY_WEBHOOK_ALLOW", "127.0.0.1/32")
        with start("up") as product:
            yield product


@pytest.fixture(scope="session")
def data() -> Path:
    """The public data sets beside the checkout."""
    folder = Path(__file__).resolve().parents[3] / "shared" / "data"
    if not folder.is_dir():
        pytest.skip(f"Needs the data sets in {folder}")
    return folder
