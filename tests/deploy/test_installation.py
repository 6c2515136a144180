import stat
from datetime import date
from pathlib import Path

import pytest

from deploy import installation
from deploy.cli import example
from deploy.installation import Refused


def test_the_first_start_decides_and_the_next_need_not_repeat_it(tmp_path: Path) -> None:
    first = installation.opened(tmp_path, time_zone="Europe/Berlin", currency="EUR", empty=True)

    assert installation.opened(tmp_path, time_zone=None, currency=None, empty=False) == first
    assert (first.time_zone, first.currency, first.example) == ("Europe/Berlin", "EUR", "none")


def test_a_start_that_would_count_other_days_or_report_in_another_currency_is_refused(tmp_path: Path) -> None:
    first = installation.opened(tmp_path, time_zone="UTC", currency="EUR", empty=True)

    with pytest.raises(Refused, match=r"counts its days in UTC.+rebuild --time-zone Asia/Tokyo"):
        installation.opened(tmp_path, time_zone="Asia/Tokyo", kept_zone="UTC")
    with pytest.raises(Refused, match="EUR"):
        installation.opened(tmp_path, currency="USD", kept_zone="UTC", fixed_currency="EUR")
    assert installation.opened(tmp_path, kept_zone="UTC", fixed_currency="EUR") == first


def test_a_currency_that_an_import_fixed_is_not_written_over(tmp_path: Path) -> None:
    installation.opened(tmp_path)

    with pytest.raises(Refused, match="GBP"):
        installation.opened(tmp_path, currency="USD", kept_zone="UTC", fixed_currency="GBP")
    assert installation.opened(tmp_path, kept_zone="UTC", fixed_currency="GBP").currency is None


def test_a_start_after_a_rebuild_goes_on_in_the_zone_of_the_calendars(tmp_path: Path) -> None:
    installation.opened(tmp_path, time_zone="UTC")

    assert installation.opened(tmp_path, kept_zone="Asia/Tokyo").time_zone == "Asia/Tokyo"
    assert installation.opened(tmp_path, time_zone="Asia/Tokyo", kept_zone="Asia/Tokyo").time_zone == "Asia/Tokyo"
    with pytest.raises(Refused, match="Asia/Tokyo"):
        installation.opened(tmp_path, time_zone="UTC", kept_zone="Asia/Tokyo")


def test_an_example_that_is_not_loaded_yet_can_be_declined_later(tmp_path: Path) -> None:
    assert installation.opened(tmp_path).example == "wanted"
    assert installation.opened(tmp_path, empty=True).example == "none"
    assert installation.opened(tmp_path).example == "none"


def test_the_identity_key_is_copied_once_and_another_is_refused(tmp_path: Path) -> None:
    given, other = tmp_path / "given", tmp_path / "other"
    given.write_text("ab" * 32)
    other.write_text("cd" * 32)

    kept = installation.identity_key(tmp_path, given)

    assert kept.read_text().strip() == "ab" * 32
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600
    assert installation.identity_key(tmp_path, given) == installation.identity_key(tmp_path, None) == kept
    with pytest.raises(Refused, match="another identity key"):
        installation.identity_key(tmp_path, other)


def test_the_example_ends_on_the_day_asked_for_and_keeps_its_gaps() -> None:
    original = example.shifted(example.LAST_DAY).splitlines()
    moved = example.shifted(date(2026, 1, 1)).splitlines()

    days = [[date.fromisoformat(line.split(",")[3]) for line in lines[1:]] for lines in (original, moved)]
    assert len(moved) == 6_920
    assert max(days[1]) == date(2026, 1, 1)
    assert len({after - before for before, after in zip(*days, strict=True)}) == 1


def test_what_is_no_identity_key_is_refused_at_once(tmp_path: Path) -> None:
    given = tmp_path / "given"
    given.write_text("too short")

    with pytest.raises(Refused, match="32 bytes"):
        installation.identity_key(tmp_path, given)
    assert not (tmp_path / "identity.key").exists()
