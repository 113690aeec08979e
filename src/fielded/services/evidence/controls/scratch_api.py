"""An API to probe that nobody uses: the site's definition, model and limits, with a ledger, a journal and a
provider of tokens of its own. What is asked of it is on no record of the site.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from fielded.definition.serving import Api, Identity, Role
from fielded.services.evidence.collect import Answer, Bench, Door
from fielded.services.prepare_scorer import Scorers, resolve
from fielded.services.probe.scratch import scratch_copy
from fielded.services.probe.subjects import Examples, marked_subject
from fielded.words.errors import Refused, Unreachable
from fielded.world.identity.trial_provider import TrialProvider
from fielded.world.workplace import Workplace, open_workplace


@dataclass(frozen=True, slots=True)
class ScratchApi:
    """The API, and what is needed to ask it.

    Attributes:
        workplace: of the scratch site.
        door: to the API.
        provider: of tokens that it believes.
        features: of one subject, by name, that it takes.
    """

    workplace: Workplace
    door: Door
    provider: TrialProvider
    features: Mapping[str, Any]

    @property
    def journal(self) -> Path:
        """Folder of the journal."""
        return Path(self.workplace.site.journal_url.removeprefix("sqlite:///"))

    def body(self, **changes: Any) -> dict[str, Any]:
        """A good request for one score, with some features changed."""
        return {"subject": marked_subject(self.workplace), "features": {**self.features, **changes}}

    def ask(
        self, roles: Sequence[Role], method: str, path: str, *, subject: str = "prober", **more: Any
    ) -> Answer:
        """What the API answers to somebody with some roles."""
        return self.door.ask(method, path, headers=self.provider.headers(subject, roles), **more)


@contextmanager
def scratch_api(bench: Bench, api: Api | None = None) -> Iterator[ScratchApi]:
    """Open it; all of it is gone at the end.

    Args:
        bench: of the site.
        api: other limits than the site's.

    Raises:
        FieldedError: what is in production cannot be told or loaded.
        Unreachable: there is no way to an API here, or no scratch site can be made now.
    """
    if bench.open_door is None:
        raise Unreachable(
            "API: got no way to open one here, expected one. Run `fielded ato collect`, which has one"
        )
    scorer = Scorers(bench.workplace).get(*resolve(bench.workplace))
    chosen = Examples(bench.workplace, scorer, limit=1).any().features.to_pylist()[0]
    try:
        with scratch_copy(bench.workplace) as copy:
            provider = TrialProvider(Path(copy.site.root).parent, copy.clock)
            site = replace(
                copy.site, identity=Identity(oidc=provider.oidc()), environment="development",
                api=api or copy.site.api,
            )  # fmt: skip
            workplace = open_workplace(
                copy.deployment, site, user=copy.user, clock=copy.clock, random_bytes=copy.random_bytes
            )
            with bench.open_door(workplace) as door:
                yield ScratchApi(workplace, door, provider, chosen)
    except Refused as error:
        raise Unreachable(f"scratch site: {error}") from error
