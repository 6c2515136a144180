"""How far something is, shown on stderr."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.progress import Progress, ProgressColumn, TaskID


@contextmanager
def progress(doing: str, *columns: "str | ProgressColumn", **fields: Any) -> Iterator[tuple["Progress", "TaskID"]]:
    """A bar, with how many of how many beside it and then `columns`, and the task that it shows."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

    told = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), *columns
    with Progress(*told, console=Console(stderr=True)) as bar:
        yield bar, bar.add_task(doing, total=None, **fields)
