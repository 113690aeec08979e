"""fielded, end to end: read, join, rules, score, ledger, gold. The scorer is loaded beforehand, as in (a)."""

import sys

from common import AS_OF, measure, peak_mib, say, workplace
from fielded.services.prepare_scorer import Scorers, resolve
from fielded.services.score_day import score_day

place = workplace(int(sys.argv[1]))
scorers = Scorers(place)
scorers.get(*resolve(place))
loaded = peak_mib()
done = measure(lambda: score_day(place, scorers, AS_OF, again=sys.argv[2]))
summary = done.pop("result")
say({**done, "rows": summary.population, "scored": summary.scored, "peak_mib": peak_mib(), "loaded_mib": loaded})
