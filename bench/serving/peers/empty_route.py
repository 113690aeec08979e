"""The limit of the server: a FastAPI route that reads a body, as a dict, and says one number."""

from typing import Any

from fastapi import FastAPI

app = FastAPI()


@app.post("/score")
async def score(body: dict[str, Any]) -> dict[str, Any]:
    return {"subject": body["subject"], "score": 0.5}
