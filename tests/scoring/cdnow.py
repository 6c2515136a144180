"""The CDNOW sample, where its file lies beside the repository."""

import csv
import gzip
from collections import defaultdict
from datetime import date
from pathlib import Path

import numpy as np
import pytest

from services.scoring.domain.buyers import Ledger

ORDERS = Path(__file__).resolve().parents[3] / "shared" / "data" / "cdnow_sample" / "orders.csv.gz"

needs_cdnow = pytest.mark.skipif(not ORDERS.is_file(), reason=f"needs the CDNOW sample in {ORDERS}")


def ledger() -> Ledger:
    """All its purchase days; money in cents."""
    days: dict[str, dict[int, int]] = defaultdict(lambda: defaultdict(int))
    with gzip.open(ORDERS, "rt", newline="") as file:
        for row in csv.DictReader(file):
            day = date.fromisoformat(row["ts"][:10]).toordinal()
            days[row["customer_id"]][day] += round(100 * float(row["amount"]))
    rows = [(party, day, days[who][day]) for party, who in enumerate(days) for day in sorted(days[who])]
    return Ledger(*(np.array(column) for column in zip(*rows, strict=True)))
