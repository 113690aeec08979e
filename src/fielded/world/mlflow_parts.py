"""What the registry needs of MLflow: a module of its own, for importing it takes more than a second.

MLflow's telemetry is switched off before its first import: nothing leaves the host. Its own patience with a server
that is down, four minutes and more, is cut to some seconds, unless the environment says otherwise: while a biased
model scores nobody waits that long to be told.
"""

import os

os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "3")  # 13 s where nothing listens
os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "30")  # seconds without a byte

from mlflow.artifacts import download_artifacts
from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import INVALID_PARAMETER_VALUE, RESOURCE_DOES_NOT_EXIST, ErrorCode
from mlflow.tracking import MlflowClient

__all__ = ["ABSENT", "MlflowClient", "MlflowException", "download_artifacts"]

# Codes of errors that say that something is not there.
ABSENT = (ErrorCode.Name(RESOURCE_DOES_NOT_EXIST), ErrorCode.Name(INVALID_PARAMETER_VALUE))
