"""Which work orders are scored on a day, and what is known about each on that day."""

from datetime import date, timedelta
from typing import Any

from ibis import _

WINDOW_DAYS = 90


def pending(tables: Any, as_of: date) -> Any:
    """Open work orders started in the 90 days up to `as_of`, with the ship's age on that day.

    An order is open on `as_of` if its completion was not known then; its `status` says how it stands today
    and would tell a back-fill the future. A ship that the registry lacks leaves the age null.
    """
    window = as_of - timedelta(days=WINDOW_DAYS)
    started = tables.work_orders.filter(_.started_on > window, _.started_on <= as_of)
    orders = started.filter(_.completed_on.isnull() | (_.completed_on > as_of))
    ships = tables.ships.select("hull_number", "commission_year")
    return orders.left_join(ships, "hull_number").select(
        "work_order_id",
        "labor_hours_estimated",
        "estimated_completion_days",
        ship_age_years=(as_of.year - _.commission_year).cast("float64"),
        prior_work_order_count=_.prior_work_order_count,
        start_month=_.started_on.month().cast("int64"),
        data_quality_score=_.data_quality_score,
        hull_class=_.hull_class,
        maintenance_category=_.maintenance_category,
    )
