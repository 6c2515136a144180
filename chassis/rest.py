"""Resting after a fault, in loops that otherwise never end."""

import asyncio


async def rest(seconds: float) -> None:
    """Sleep, or end here if the task was cancelled while the fault was met.

    A connection that breaks under a cancelled task raises its own error in the place of the cancellation, which would
    be lost on whoever takes the error for a reason to try again.
    """
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        raise asyncio.CancelledError
    await asyncio.sleep(seconds)
