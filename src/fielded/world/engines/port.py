"""The port that every query engine implements."""

from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import date
from typing import Protocol

import pyarrow as pa

from fielded.world.engines.population import PopulationFunction
from fielded.world.tables import TableVersion


@dataclass(frozen=True, slots=True)
class Size:
    """A population counted by the engine, apart from reading it.

    Attributes:
        rows: rows in it.
        duplicates: subjects that occur more than once (string array, each once).
    """

    rows: int
    duplicates: pa.Array


class OpenPopulation(Protocol):
    """A population over pinned tables on one day. Closing it frees the engine."""

    @property
    def schema(self) -> pa.Schema:
        """Columns and types of the population."""

    def size(self, subject: str) -> Size:
        """Count it, and find subjects that occur more than once."""

    def batches(self, columns: list[str], rows: int) -> Iterator[pa.RecordBatch]:
        """The named columns, at most `rows` rows at a time, in bounded memory."""


class Engine(Protocol):
    """Runs population queries."""

    def open(
        self, function: PopulationFunction, tables: Mapping[str, TableVersion], as_of: date
    ) -> AbstractContextManager[OpenPopulation]:
        """The population of the day `as_of`.

        Raises:
            DefinitionError: the query asks for something that the tables do not have, or is no query.
        """
