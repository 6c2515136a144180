"""An installation that comes to count its days in another time zone."""

from tests.system.conftest import Start


def test_a_rebuild_moves_the_days_and_every_start_after_it_goes_on_in_the_new_zone(start: Start) -> None:
    with start("up") as product:
        product.buy("somebody", "2025-01-01T20:00:00Z", 1_000)
        product.settle()

        said = product.shuke("rebuild", "--time-zone", "Asia/Tokyo")
        product.kill_and_await("scoring-worker")
        product.buy("somebody", "2025-01-02T10:00:00Z", 200)
        product.settle()

        assert "Asia/Tokyo" in said
        assert [line["x"] for line in product.export().values()] == ["0"]
        digest = product.digest()
        product.down()
        product.up()
        assert product.get("/v1/status")["time_zone"] == "Asia/Tokyo"
        assert product.digest() == digest
        assert product.agrees()
