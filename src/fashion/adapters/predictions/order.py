"""The order in which predictions have arrived: a number for each, given in the transaction that writes it.

Clocks go back, run ahead and differ between machines; this order is the database's. Whoever takes numbers holds the
counter until its transaction ends, so they become visible one after the other: a reader that goes on after the greatest
number it has seen passes none over.
"""

from datetime import UTC, datetime, timedelta

from sqlalchemy import Connection, func, select, text, update

from fashion.adapters.predictions.tables import ARRIVED, counters, predictions, windows

AHEAD = timedelta(minutes=5)
"""What is further in the future was made by a clock that is wrong, or is looked at by one."""
NUMBER_ROWS = text("""
    UPDATE predictions SET number = :last + numbered.place
    FROM (SELECT id, row_number() OVER (ORDER BY id) AS place FROM predictions WHERE number IS NULL) AS numbered
    WHERE predictions.id = numbered.id
""")


def take_numbers(connection: Connection, count: int, counter: str = predictions.name) -> range:
    """Reserve the next numbers for predictions that this transaction will write.

    Args:
        counter: the name of the one that is raised.
    """
    mine = counters.c.name == counter
    connection.execute(update(counters).where(mine).values(value=counters.c.value + count))
    last = connection.execute(select(counters.c.value).where(mine)).scalar_one()
    return range(last - count + 1, last + 1)


def describe_clock(connection: Connection) -> str | None:
    """Say so if the prediction that arrived last was made in the future."""
    last = select(predictions.c.time).where(ARRIVED).order_by(predictions.c.number.desc()).limit(1)
    made, now = connection.scalar(last), datetime.now(UTC)
    if made is None or made - now <= AHEAD:
        return None
    ahead = timedelta(seconds=round((made - now).total_seconds()))
    return (
        f"The newest prediction was made at {made:%Y-%m-%d %H:%M:%S} UTC by the clock of its service, {ahead} ahead of "
        "this machine's. No data is lost, but its age is wrong until the clock is corrected"
    )


def complete_order(connection: Connection) -> None:
    """Number the rows that earlier code has written, before the log was brought up to date or beside this code.

    Their order is that of their ids, as it was for that code. Others must be kept out, as for `migrations.upgrade`.
    """
    without = select(func.count()).where(predictions.c.number.is_(None))
    if count := connection.scalar(without):
        numbers = take_numbers(connection, count)
        connection.execute(NUMBER_ROWS, {"last": numbers.start - 1})
    if connection.scalar(select(windows.c.number).where(windows.c.last_number.is_(None)).limit(1)):
        _number_windows(connection)


def _number_windows(connection: Connection) -> None:
    """Give each window its range of numbers, an empty one where all its predictions are removed."""
    number, identifier = predictions.c.number, predictions.c.id
    first = select(number).where(identifier >= windows.c.first_id).order_by(identifier).limit(1)
    last = select(number).where(identifier <= windows.c.last_id).order_by(identifier.desc()).limit(1)
    numbers = {
        "first_number": func.coalesce(first.scalar_subquery(), 1),
        "last_number": func.coalesce(last.scalar_subquery(), 0),
    }
    connection.execute(update(windows).where(windows.c.last_number.is_(None)).values(numbers))
