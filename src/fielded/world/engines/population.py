"""The deployment's population function: loaded from its file, and what it gives back checked."""

from collections.abc import Callable, Mapping
from datetime import date
from types import ModuleType, SimpleNamespace
from typing import Any

import ibis.expr.operations as ops
import ibis.expr.types as ir

from fielded.definition.deployment import Deployment
from fielded.words.errors import DefinitionError, Finding

PopulationFunction = Callable[[Any, date], ir.Table]

# The same day must give the same rows years later, so the query may depend on its tables and `as_of` alone.
_UNREPEATABLE = (ops.TimestampNow, ops.DateNow, ops.RandomScalar, ops.RandomUUID, ops.Sample)


def load_population(deployment: Deployment) -> PopulationFunction:
    """The function that `population.query` names.

    Raises:
        DefinitionError: the file cannot be run or has no such function.
    """
    population = deployment.population
    module = ModuleType(f"fielded_population_{deployment.name}")
    module.__file__ = str(deployment.folder / population.file)
    try:
        code = compile(deployment.texts[population.file], module.__file__, "exec")
        exec(code, vars(module))  # noqa: S102 - the deployment's own query, of the bytes that were hashed
    except Exception as error:
        raise _wrong(population.file, f"{type(error).__name__}: {error}", "a file that can be imported") from error
    function = getattr(module, population.function, None)
    if not callable(function):
        raise _wrong(
            population.file, f"no function {population.function}", f"def {population.function}(tables, as_of)"
        )
    return function  # type: ignore[no-any-return]


def build(function: PopulationFunction, tables: Mapping[str, ir.Table], as_of: date) -> ir.Table:
    """The population's expression on the day `as_of`.

    Raises:
        DefinitionError: the function failed, gave no table, or depends on a clock or on chance.
    """
    name = f"{function.__name__}(tables, as_of)"
    try:
        expression = function(SimpleNamespace(**tables), as_of)
    except Exception as error:
        got = f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}"
        raise _wrong(
            name, got, "an Ibis table expression", "See the columns of each table with `fielded check`"
        ) from (error)
    if not isinstance(expression, ir.Table):
        raise _wrong(name, type(expression).__name__, "an Ibis table expression")
    unrepeatable = expression.op().find(_UNREPEATABLE)
    if unrepeatable:
        got = ", ".join(sorted({type(node).__name__ for node in unrepeatable}))
        raise _wrong(name, got, "a query of its tables and as_of alone", "A back-fill must give that day's rows")
    return expression


def _wrong(where: str, got: str, expected: str, step: str = "") -> DefinitionError:
    return DefinitionError([Finding(where, "population.query", got, expected, step)])
