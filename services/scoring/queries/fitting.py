"""What a model is fitted to: the purchases of everybody, in one state of the database."""

from collections.abc import AsyncGenerator
from datetime import date, datetime

from services.scoring.domain.buyers import Gathering
from services.scoring.domain.fitting import FitInFuture
from services.scoring.queries.reading import by_party
from services.scoring.queries.rulings import Connection, present


async def day_to_fit(connection: Connection, as_of: date | None, at: datetime) -> date:
    """The local day that a fit is to be as of, today where none is given. Raises `FitInFuture`."""
    ruling = (await present(connection)).ruling
    today = date.fromordinal(ruling.day(at))
    if as_of is not None and as_of > today:
        raise FitInFuture("A model is fitted as of a day that has come.", today=today.isoformat())
    return as_of or today


async def gathered(connection: Connection, gathering: Gathering) -> AsyncGenerator[int]:
    """Gather the purchases of everybody; how many parties are read so far, page by page."""
    done = 0
    async for reads in by_party(connection):
        for read in reads:
            gathering.take(read.calendar)
        done += len(reads)
        yield done
