import asyncio
import logging
from typing import Any

import pytest

from relay.errors import SettingsError
from relay.observe.metrics import Metrics
from relay.reloading import Reloaded, Reloader, Take
from relay.settings.models import Settings

GUEST = {"base_url": "https://platform.example", "client_id": "one", "client_secret": "two"}


def settings(**given: Any) -> Settings:
    return Settings.model_validate({"gateways": {"guest": GUEST}} | given)


class House:
    """Two parts, what each runs with, and the file between them and the operator."""

    def __init__(self) -> None:
        self.file: Settings | SettingsError = settings()
        self.first = self.second = settings()
        self.problem: str | None = None
        self.metrics = Metrics()
        self.reloader = Reloader(
            settings(), self.read, [self.take_first, self.take_second], metrics=self.metrics
        )

    def read(self) -> Settings:
        if isinstance(self.file, SettingsError):
            raise self.file
        return self.file

    def take_first(self, fresh: Settings) -> Take:
        def take() -> None:
            self.first = fresh

        return take

    def take_second(self, fresh: Settings) -> Take:
        if self.problem:
            raise SettingsError(self.problem)

        def take() -> None:
            self.second = fresh

        return take

    def counted(self) -> dict[str, float]:
        outcomes = ("taken", "unchanged", "refused")
        shown = self.metrics.render()[1].decode()
        return {
            o: float(shown.split(f'relay_config_reloads_total{{outcome="{o}"}} ')[1].split()[0])
            for o in outcomes
        }


@pytest.fixture
async def house() -> House:
    return House()


DEBUG = {"logging": {"level": "debug"}}


async def test_every_part_runs_with_what_was_read(house: House) -> None:
    house.file = settings(**DEBUG)
    assert await house.reloader.reload() == Reloaded(2, ("logging.level",))
    assert house.first is house.second is house.reloader.settings is house.file
    assert house.counted() == {"taken": 1, "unchanged": 0, "refused": 0}


async def test_the_same_settings_are_no_new_generation_and_each_part_looks_at_its_files_again(
    house: House,
) -> None:
    house.file = settings()
    assert await house.reloader.reload() == Reloaded(1, ())
    assert house.first is house.second is house.file
    assert house.counted() == {"taken": 0, "unchanged": 1, "refused": 0}


async def test_a_part_that_cannot_leaves_those_before_it_as_they_were(house: House) -> None:
    before, house.file, house.problem = house.first, settings(**DEBUG), "endpoints.tracker.ca_file: not there"
    with pytest.raises(SettingsError, match="ca_file"):
        await house.reloader.reload()
    assert house.first is before
    assert house.reloader.generation == 1
    house.problem = None
    assert (await house.reloader.reload()).generation == 2


@pytest.mark.parametrize(
    "file", [SettingsError("typing.pause_after_ms: wanted a number"), settings(server={"port": 9999})]
)
async def test_settings_that_cannot_be_taken_over_change_nothing_and_are_told(
    house: House, file: Settings | SettingsError, caplog: pytest.LogCaptureFixture
) -> None:
    before, house.file = house.first, file
    with caplog.at_level(logging.ERROR), pytest.raises(SettingsError):
        await house.reloader.reload()
    assert house.first is before
    assert [record.message for record in caplog.records] == ["config.reloaded"]
    assert house.counted() == {"taken": 0, "unchanged": 0, "refused": 1}


async def test_what_waits_for_a_restart_is_named(house: House) -> None:
    house.file = settings(server={"port": 9999}, **DEBUG)
    with pytest.raises(SettingsError, match=r"server\.port.*restart"):
        await house.reloader.reload()
    assert house.reloader.settings.logging.level == "info"


async def test_nobody_sees_half_of_a_new_generation(house: House) -> None:
    """Whoever runs between two turns of the loop finds both parts with the same settings."""
    seen: set[bool] = set()

    async def look() -> None:
        while True:
            seen.add(house.first == house.second)
            await asyncio.sleep(0)

    looking = asyncio.create_task(look())
    for level in ("debug", "warning") * 20:
        house.file = settings(logging={"level": level})
        await house.reloader.reload()
    looking.cancel()
    assert seen == {True}
    assert house.reloader.generation == 41


async def test_reloads_asked_for_together_come_one_after_the_other(house: House) -> None:
    house.file = settings(**DEBUG)
    done = await asyncio.gather(*(house.reloader.reload() for _ in range(5)))
    assert [one.generation for one in done] == [2] * 5
    assert house.counted() == {"taken": 1, "unchanged": 4, "refused": 0}
