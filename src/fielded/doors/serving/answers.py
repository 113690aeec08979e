"""Answers as bytes. Numbers are written so that reading them gives the same 64 bits (Python's shortest text)."""

import json
from collections.abc import Sequence
from typing import Any

from fielded.decisions.explaining import Explanation
from fielded.decisions.routing import reasons
from fielded.doors.serving.calls import Answer
from fielded.services.score_live import LiveAnswer, LiveRow, Model


def prediction(row: LiveRow, answer: LiveAnswer, explanation: Explanation | None = None) -> Answer:
    """The answer of `/score`."""
    text = _prediction(row, answer, 0, _shared(answer, answer.models[0]))
    if explanation is not None:
        parts = {"base": explanation.base, "contributions": explanation.contributions}
        text = f'{text[:-1]},"explanation":{json.dumps(parts)}}}'
    return Answer(text.encode())


def predictions(rows: Sequence[LiveRow], answer: LiveAnswer) -> Answer:
    """The answer of `/score/batch`, in the request's order."""
    shared = {model: _shared(answer, model) for model in set(answer.models)}
    texts = [_prediction(row, answer, place, shared[answer.models[place]]) for place, row in enumerate(rows)]
    return Answer(f'{{"predictions":[{",".join(texts)}]}}'.encode())


def state(content: dict[str, Any], *, status: int = 200) -> Answer:
    """Anything small."""
    return Answer(json.dumps(content).encode(), status=status)


def _shared(answer: LiveAnswer, model: Model) -> str:
    """What all rows of an answer end with that one model scored."""
    named = json.dumps({"name": answer.model_name, "version": model.version})
    at = answer.scored_at.isoformat(timespec="microseconds")
    return f'"model":{named},"artifact_sha256":"{model.artifact_sha256}","scored_at":"{at}"}}'


def _prediction(row: LiveRow, answer: LiveAnswer, place: int, shared: str) -> str:
    flag = "true" if answer.flags[place] else "false"
    return (
        f'{{"subject":{json.dumps(row.subject)},"score":{answer.scores[place]!r},"flag":{flag},'
        f'"decision":"{answer.decisions[place]}","reasons":{json.dumps(reasons(answer.routed_by[place]))},'
        f'"request_id":"{answer.request_ids[place]}",{shared}'
    )
