"""Which scores are worth a person: Chow's rule, at the prices that the threshold implies itself.

1. With a threshold t a missed event costs 1 - t where a needless flag costs t (`decisions.release.cost`, rule 1).
   A review costs d in the same unit. Whoever reviews is taken to be right; what his errors cost belongs into d.
2. To leave a row that comes true with probability p costs p(1 - t), to flag it (1 - p)t. A person is worth it
   where d is less than both (Chow 1970, IEEE Transactions on Information Theory 16:41-46): for p between
   d/(1 - t) and 1 - d/t. The band lies about the threshold and not about 0.5: both ends meet at t as d comes to
   t(1 - t), and a review that costs more never pays.
3. The rule is about probabilities. Of scores that are none it makes a band in the wrong place, so it is said how
   far mean scores are from shares of events: overall, and in the band, below and above it.
4. Shares have Wilson intervals, costs per row and what a band saves Student's: the same rows pay with and without
   it, so what it saves is a mean of differences (`measuring.intervals`).
5. Beside Chow's bands stand those of one width about the threshold, and which of Chow's costs least on these rows:
   all whose extra cost over that one is within chance may be it (`decisions.release.cost`, rule 3, says why no
   bootstrap is made of this).
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from fielded.decisions.measuring.calibration import Bin, in_the_large, reliability
from fielded.decisions.measuring.intervals import Estimate, mean, proportion
from fielded.words.errors import WrongUse

Band = tuple[float, float]  # low and high end, both inclusive

STEPS = 40  # bands of each kind but one


@dataclass(frozen=True, slots=True)
class Prices:
    """What mistakes and reviews cost, in shares of (one missed event plus one needless flag): rule 1.

    Attributes:
        threshold: from 0 to 1, neither included.
        review: of one case; from 0 on.

    Raises:
        WrongUse: the threshold leaves one of the mistakes without a price, or the review has none.
    """

    threshold: float
    review: float

    def __post_init__(self) -> None:
        if not 0 < self.threshold < 1:
            raise WrongUse(
                f"decision.threshold: got {self.threshold:g}, expected a number between 0 and 1, neither "
                "included: at the ends one of both mistakes costs nothing, and no review pays"
            )
        if not self.review >= 0:  # NaN fails it too
            raise WrongUse(f"cost: got {self.review:g}, expected 0 or more")

    @property
    def missed(self) -> float:
        """Of a missed event."""
        return 1 - self.threshold

    @property
    def needless(self) -> float:
        """Of a needless flag."""
        return self.threshold

    @property
    def most(self) -> float:
        """What a review may cost at most to pay: rule 2."""
        return self.threshold * (1 - self.threshold)


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """What a band comes to on labelled rows.

    Attributes:
        band: what is reviewed; None where nothing is.
        right_at: the price of a review at which Chow's rule gives this band; None where it never does.
        reviewed: share of the rows.
        errors: share of the others that are decided wrongly.
        missed: share of events among those left alone.
        needless: share without the event among those flagged and not reviewed.
        cost: per row, with reviews.
        saved: per row, against no review at all; below zero the band costs more than it is worth.
    """

    band: Band | None
    right_at: float | None
    reviewed: Estimate
    errors: Estimate
    missed: Estimate
    needless: Estimate
    cost: Estimate
    saved: Estimate


@dataclass(frozen=True, slots=True)
class Least:
    """The band of Chow's that costs least on these rows: rule 5.

    Attributes:
        band: it; None where none is.
        narrowest: of all that may be it.
        widest: likewise.
    """

    band: Band | None
    narrowest: Band | None
    widest: Band | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Calibration:
    """Mean score less share of events: rule 3.

    Attributes:
        overall: of all rows.
        below: of rows below the band.
        inside: of rows in it.
        above: of rows above it.
        bins: share of events by tenths of the rows.
    """

    overall: Estimate
    below: Estimate
    inside: Estimate
    above: Estimate
    bins: Sequence[Bin]

    @property
    def off(self) -> tuple[str, ...]:
        """Where the scores differ from the share of events by more than chance."""
        places = {name: getattr(self, name) for name in ("overall", "below", "inside", "above")}
        return tuple(name for name, one in places.items() if one.rows and not one.low <= 0 <= one.high)


@dataclass(frozen=True, slots=True, kw_only=True)
class Study:
    """What there is to know before a band is chosen.

    Attributes:
        prices: of mistakes and reviews.
        nothing: without reviews.
        in_force: the definition's band.
        implied: prices of a review at which the lower and the upper end of that band are right.
        chosen: Chow's band at the price of a review; as `nothing` where it does not pay.
        chow: Chow's bands for cheaper and cheaper reviews: what is reviewed grows.
        symmetric: bands of one width about the threshold, wider and wider.
        least: the band that costs least on these rows.
        calibration: of the scores.
        rows: with a label.
        events: of those.
    """

    prices: Prices
    nothing: Point
    in_force: Point
    implied: tuple[float, float]
    chosen: Point
    chow: Sequence[Point]
    symmetric: Sequence[Point]
    least: Least
    calibration: Calibration
    rows: int
    events: int


def chows_band(prices: Prices) -> Band | None:
    """The band of rule 2; None where a review costs more than it can be worth."""
    if prices.review > prices.most:
        return None
    low, high = prices.review / prices.missed, 1 - prices.review / prices.needless
    return min(low, prices.threshold), max(high, prices.threshold)  # where they meet, rounding may cross them


def implied(threshold: float, band: Band) -> tuple[float, float]:
    """The prices of a review at which the lower and the upper end of a band are Chow's.

    Where they differ, the band is right at no price.
    """
    return band[0] * (1 - threshold), (1 - band[1]) * threshold


def study(
    labels: np.ndarray, scores: np.ndarray, prices: Prices, in_force: Band, confidence: float = 0.95
) -> Study:
    """Look at every band on labelled rows.

    Args:
        labels: bool, one per row.
        scores: float64 in [0, 1], one per row.
        prices: of mistakes and reviews.
        in_force: the definition's band.
        confidence: of each interval.
    """
    rows = _Rows(labels, scores, prices, confidence)
    band = chows_band(prices)
    chow = [rows.point(band) for band in _chow(prices.threshold)]
    return Study(
        prices=prices,
        nothing=rows.point(None),
        in_force=rows.point(in_force),
        implied=implied(prices.threshold, in_force),
        chosen=rows.point(band),
        chow=chow,
        symmetric=[rows.point(band) for band in _symmetric(prices.threshold)],
        least=rows.least([None, *(point.band for point in chow)]),
        calibration=_calibration(labels, scores, band or in_force, confidence),
        rows=len(labels),
        events=int(labels.sum()),
    )


def _chow(threshold: float) -> Iterator[Band]:
    most = Prices(threshold, 0.0).most
    for price in np.linspace(most, 0.0, STEPS + 1):
        band = chows_band(Prices(threshold, float(price)))
        if band is not None:
            yield band


def _symmetric(threshold: float) -> Iterator[Band]:
    for width in np.linspace(0.0, max(threshold, 1 - threshold), STEPS + 1):
        yield max(0.0, threshold - float(width)), min(1.0, threshold + float(width))


def _calibration(labels: np.ndarray, scores: np.ndarray, band: Band, confidence: float) -> Calibration:
    below, above = scores < band[0], scores > band[1]
    inside = ~below & ~above
    return Calibration(
        overall=in_the_large(labels, scores, confidence),
        below=in_the_large(labels[below], scores[below], confidence),
        inside=in_the_large(labels[inside], scores[inside], confidence),
        above=in_the_large(labels[above], scores[above], confidence),
        bins=reliability(labels, scores, confidence=confidence),
    )


class _Rows:
    """Labelled rows by ascending score: what a band sends to a person is a stretch of them."""

    def __init__(self, labels: np.ndarray, scores: np.ndarray, prices: Prices, confidence: float) -> None:
        order = np.argsort(scores, kind="stable")
        self._scores, labels = scores[order], labels[order]
        self._prices, self._confidence = prices, confidence
        self._rows = len(scores)
        self._flagged_from = int(np.searchsorted(self._scores, prices.threshold, side="left"))
        flags = np.arange(self._rows) >= self._flagged_from
        self._wrong = np.where(flags, prices.needless * ~labels, prices.missed * labels)
        self._missed = np.append(0, np.cumsum(labels & ~flags))
        self._needless = np.append(0, np.cumsum(~labels & flags))

    def point(self, band: Band | None) -> Point:
        prices, level = self._prices, self._confidence
        first, last = self._stretch(band)
        left = self._flagged_from - max(0, min(last, self._flagged_from) - first)
        flagged = self._rows - (last - first) - left
        missed = int(self._missed[-1] - self._missed[last] + self._missed[first])
        needless = int(self._needless[-1] - self._needless[last] + self._needless[first])
        paid = self._paid(band)
        dearest = max(prices.missed, prices.needless)
        return Point(
            band=band,
            right_at=None if band is None else _right_at(prices.threshold, band),
            reviewed=proportion(last - first, self._rows, level),
            errors=proportion(missed + needless, left + flagged, level),
            missed=proportion(missed, left, level),
            needless=proportion(needless, flagged, level),
            cost=mean(paid, level, (0.0, max(dearest, prices.review))),
            saved=Estimate(0.0, 0.0, 0.0, self._rows)
            if band is None
            else mean(self._wrong - paid, level, (-prices.review, dearest)),
        )

    def least(self, bands: Sequence[Band | None]) -> Least:
        """Of bands that hold one another, the narrowest first; of several that cost the same the narrowest."""
        if not self._rows:
            return Least(None, None, None)
        best = int(np.argmin([float(self._paid(band).mean()) for band in bands]))
        cheapest = self._paid(bands[best])
        largest = max(self._prices.missed, self._prices.needless, self._prices.review)
        possible = [
            band
            for place, band in enumerate(bands)
            if place == best or mean(self._paid(band) - cheapest, self._confidence, (-largest, largest)).low <= 0
        ]
        return Least(bands[best], possible[0], possible[-1])

    def _stretch(self, band: Band | None) -> tuple[int, int]:
        """First row that is reviewed, and the one after the last: both ends of a band belong to it."""
        if band is None:
            return self._flagged_from, self._flagged_from
        first = int(np.searchsorted(self._scores, band[0], side="left"))
        return first, max(first, int(np.searchsorted(self._scores, band[1], side="right")))

    def _paid(self, band: Band | None) -> np.ndarray:
        """What each row costs, float64."""
        first, last = self._stretch(band)
        paid = self._wrong.copy()
        paid[first:last] = self._prices.review
        return paid


_SAME = 1e-9


def _right_at(threshold: float, band: Band) -> float | None:
    low, high = implied(threshold, band)
    return low if abs(low - high) < _SAME else None
