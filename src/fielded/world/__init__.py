"""The world: Delta tables, the MLflow registry, query engines, model files, who is asking."""
