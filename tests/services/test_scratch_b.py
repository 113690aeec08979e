from conftest import World, DAY
from fielded.services.score_day import score_day
from fielded.services.verify import verify
import time
def test_it(world: World):
    w, s = world.scorers()
    t=time.perf_counter()
    print(score_day(w, s, DAY)); print(time.perf_counter()-t)
    t=time.perf_counter()
    r = verify(world.open(), strict=True); print(time.perf_counter()-t)
    for f in r.findings: print(f)
    print(r.notes, r.tables, r.newest)

def test_compact(world: World):
    from datetime import date, datetime, UTC, timedelta
    from fielded.services.compact import compact
    from fielded.world.ledger import Event
    from dataclasses import replace
    w = world.open()
    for i in range(12):
        w.record("x", f"a{i}", {"i": i})
    w2 = replace(w, clock=lambda: datetime.now(UTC))
    print(compact(w2, date(2026,3,2)))
    r = verify(world.open(), strict=True)
    for f in r.findings: print(f)
    print(r.notes, r.tables, r.newest)
    print(len(w.ledger.events_of("x")))
    for i in range(12):
        w.record("x", f"a{i}", {"i": i})
    t = w.tables.open("ledger.overrun.events"); print(t.optimize.compact())
    r = verify(world.open(), strict=True)
    for f in r.findings: print(f)
    from fielded.services.seal import seal
    print(seal(w))
    r = verify(world.open(), strict=True)
    for f in r.findings: print(f)
    print(r.notes, r.tables, r.newest)
    print(t.vacuum(retention_hours=0, enforce_retention_duration=False, dry_run=False))
    r = verify(world.open(), strict=True)
    for f in r.findings: print(f)
    print(r.notes, r.tables, r.newest)
