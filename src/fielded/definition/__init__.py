"""deployment.yaml and site.yaml to frozen values. Every input error is found here, all at once."""

from fielded.definition.deployment import Deployment, Feature
from fielded.definition.loading import load_deployment
from fielded.definition.site import Site, load_site

__all__ = ["Deployment", "Feature", "Site", "load_deployment", "load_site"]
