"""Concurrent calls that end together."""

import asyncio

import pytest

from services.chassis.tasks import joint_tasks


async def test_results_are_those_of_the_tasks() -> None:
    async with joint_tasks() as tasks:
        slept = tasks.create_task(asyncio.sleep(0, "slept"))
    assert slept.result() == "slept"


async def test_an_error_ends_the_other_calls_and_is_raised_itself() -> None:
    begun: list[asyncio.Task[bool]] = []

    async def fail() -> None:
        raise ConnectionResetError

    async def call_both() -> None:
        async with joint_tasks() as tasks:
            begun.append(tasks.create_task(asyncio.Event().wait()))
            tasks.create_task(fail())

    with pytest.raises(ConnectionResetError):
        await call_both()
    assert begun[0].cancelled()
