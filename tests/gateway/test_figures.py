from typing import Any

from gateway.console.standing import forecast


def summary(calibration: float | None) -> dict[str, Any]:
    worth = {"customer": 10_001, "dormant_customer": 3_333, "lost_customer": 0}
    data = [{"stage": stage, "tier": "low", "count": 2, "value_minor": value} for stage, value in worth.items()]
    return {"currency": "EUR", "calibration": calibration, "count": 6, "value_minor": 13_334, "data": data}


def test_sums_of_values_are_shown_calibrated_and_still_add_up() -> None:
    shown = forecast(summary(0.75))

    assert [cell["value_minor"] for cell in shown["data"]] == [7_501, 2_500, 0]
    assert (shown["value_minor"], shown["count"]) == (10_001, 6)


def test_sums_that_nothing_calibrates_are_shown_as_they_are() -> None:
    assert forecast(summary(None)) == summary(None)
