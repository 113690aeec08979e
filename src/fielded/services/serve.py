"""What one serving process does beside answering: it follows the alias and drains the journals."""

from collections.abc import Callable
from dataclasses import dataclass

from fielded.services.drain import Drained, drain
from fielded.services.prepare_scorer import Scorers, resolve
from fielded.services.record_definition import record_definition
from fielded.services.score_live import LiveScoring, Settled
from fielded.words.errors import Refused
from fielded.world.journal import Journal
from fielded.world.registry import RegisteredVersion
from fielded.world.workplace import Workplace


@dataclass(frozen=True, slots=True, kw_only=True)
class Live:
    """A serving process.

    Attributes:
        workplace: the deployment at its site.
        scoring: scores and journals; started.
        scorers: where versions come from.
    """

    workplace: Workplace
    scoring: LiveScoring
    scorers: Scorers

    def follow_once(self) -> RegisteredVersion | None:
        """Look where the alias stands. A version that it was moved to is verified and loaded beside the one
        that scores, and then takes its place; requests go on all the while.

        Returns:
            The new version, or None where nothing changed.

        Raises:
            FieldedError: the new version cannot be used or the registry does not answer; the old one goes on.
        """
        ref = self.workplace.deployment.model
        model = self.workplace.registry.resolve(ref.name, ref.alias)
        if model.version == self.scoring.scorer.model_version:
            return None
        model, sha256 = resolve(self.workplace)
        self.scoring.swap(self.scorers.get(model, sha256))
        return model

    def drain_once(self) -> Drained:
        """See `services.drain.drain`."""
        return drain(self.workplace)

    def waiting_rows(self) -> int:
        """Rows in the journals that are not yet drained or trimmed."""
        return sum(backlog.rows for backlog in self.workplace.journals.backlogs())

    def close(self) -> None:
        """Answer all that was submitted and let the journal go. Its rows stay in it until the next drain."""
        self.scoring.stop()


def open_live(workplace: Workplace, settle: Callable[[Settled], None]) -> Live:
    """Load the version that the alias stands for, claim a journal, and start to score.

    Args:
        workplace: the deployment at its site.
        settle: see `LiveScoring`.

    Raises:
        Refused: no approval, changed files, a journal that was put back to an earlier state.
        Unreachable: registry, tables or journal.
    """
    deployment, site = workplace.deployment, workplace.site
    scorers = Scorers(workplace)
    model, sha256 = resolve(workplace)
    scorer = scorers.get(model, sha256)
    workplace.ledger.prepare(deployment)
    record_definition(workplace)
    journal = workplace.journals.claim()
    _check_not_put_back(workplace, journal)
    scoring = LiveScoring(
        scorer=scorer,
        features=deployment.features,
        journal=journal,
        clock=workplace.clock,
        random_bytes=workplace.random_bytes,
        max_group_rows=site.api.max_group_rows,
        settle=settle,
    )
    scoring.start()
    return Live(workplace=workplace, scoring=scoring, scorers=scorers)


def _check_not_put_back(workplace: Workplace, journal: Journal) -> None:
    """A journal that is behind the ledger would use numbers again that stand for other rows."""
    reached, ends = workplace.ledger.drained(journal.id), journal.end.sequence
    if ends < reached:
        journal.close()
        raise Refused(
            f"journal {journal.id}: got {ends} as its last row, expected at least {reached}, which the ledger "
            "holds. An older copy was put in its place: move that file away and start again"
        )
