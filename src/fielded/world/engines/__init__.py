"""What runs a population query: one port, one file for each engine."""

from fielded.world.engines.population import PopulationFunction, load_population
from fielded.world.engines.port import Engine, OpenPopulation, Size

__all__ = ["Engine", "OpenPopulation", "PopulationFunction", "Size", "load_population"]
