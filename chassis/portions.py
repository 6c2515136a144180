"""Portions of the log that memory holds, whether an event has 300 bytes or 900,000."""

BYTES = 16 << 20
"""Of events that are read at once, but for one that is read whatever its size."""


def portion(rows: str, *, most: str) -> str:
    """A query for the first of some rows of the log: until they have `most` bytes, and at least one.

    `rows` is a query that gives them in order, with epoch, seq and payload; `most` is a parameter behind its own, such
    as `$5`.
    """
    return f"""
SELECT * FROM (
    SELECT *, sum(octet_length(payload)) OVER (
        ORDER BY epoch, seq ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING
    ) AS bytes_before
    FROM ({rows}) AS waiting
) AS event
WHERE coalesce(bytes_before, 0) < {most}
ORDER BY epoch, seq
"""
