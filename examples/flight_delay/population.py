"""Which flights are scored on a day, and what is known about each before it leaves."""

from datetime import date
from typing import Any

import ibis
from ibis import _


def scheduled(tables: Any, as_of: date) -> ibis.Table:
    """Flights scheduled to depart on `as_of`, one row each, with the registry's row of their aircraft.

    Cancelled flights are among them: nobody knew when the timetable was printed. What happened to a flight
    stands in another table, which this function is not given.

    Args:
        tables: `flights` and `planes`.
        as_of: the day, in New York.
    """
    day = tables.flights.filter(_.flight_date == as_of).mutate(
        scheduled_departure_minute=_.hour * 60 + _.minute,
        scheduled_arrival_minute=_.sched_arr_time // 100 * 60 + _.sched_arr_time % 100,
        departures_same_hour=_.count().over(ibis.window(group_by=[_.origin, _.hour])),
    )
    planes = tables.planes.select(
        registered=_.tailnum,
        plane_age_years=as_of.year - _.year,
        plane_seats=_.seats,
        plane_engine=_.engine,
    )
    return day.left_join(planes, day.tailnum == planes.registered).select(
        "flight_id",
        "carrier",
        "origin",
        "dest",
        "scheduled_departure_minute",
        # A flight that lands after midnight, local time, is still shorter than a day.
        scheduled_clock_minutes=(_.scheduled_arrival_minute - _.scheduled_departure_minute + 1440) % 1440,
        weekday=ibis.literal(as_of.isoweekday(), type="int64"),
        distance=_.distance,
        departures_same_hour=_.departures_same_hour,
        plane_age_years=_.plane_age_years,
        plane_seats=_.plane_seats,
        plane_engine=_.plane_engine,
    )
