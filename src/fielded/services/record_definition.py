"""Keep the text behind the digest that every row carries: years later the folder may be gone (AU-10, CM-6)."""

from fielded.world.workplace import Workplace


def record_definition(workplace: Workplace) -> None:
    """Put the definition's texts on record, once for each digest."""
    sha256, texts = workplace.deployment.sha256, workplace.deployment.texts
    workplace.record("definition_recorded", sha256, dict(texts), once=f"definition/{sha256}")
