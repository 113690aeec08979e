"""A version's files, held by the site and checked against the approved digest before anything is loaded.

The bytes that are hashed are the bytes that are loaded: files are copied into the site's own folder first,
then hashed there. A copy is named by its digest and hashed again each time it is used. (SI-7, SR-4)
"""

import contextlib
import os
import shutil
from pathlib import Path

from fielded.definition.site import Site
from fielded.words.digests import folder_sha256
from fielded.words.errors import ArtifactChanged
from fielded.words.identifiers import RandomBytes
from fielded.world.registry import RegisteredVersion, Registry


class Artifacts:
    """Verified copies of model files.

    Args:
        site: for its cache folder.
        registry: where files come from that are not held yet.
        random_bytes: for names of unfinished copies.
    """

    def __init__(self, site: Site, registry: Registry, random_bytes: RandomBytes) -> None:
        self._folder = site.cache / "models"
        self._registry = registry
        self._random_bytes = random_bytes

    def approved(self, model: RegisteredVersion, sha256: str) -> Path:
        """The folder with the version's files, whose digest is `sha256`.

        Raises:
            ArtifactChanged: the registry's files have another digest. Nothing was loaded.
            ArtifactGone: there are no files.
        """
        held = self.held(sha256)
        if held is not None:
            return held
        copy, found = self._copy(model)
        if found != sha256:
            shutil.rmtree(copy)
            raise ArtifactChanged(
                f"{model}: got files with digest {found}, expected {sha256} as approved. "
                "Nothing was loaded. Find out who changed them; approve anew only if the change is meant"
            )
        return self._keep(copy, sha256)

    def held(self, sha256: str) -> Path | None:
        """The site's own copy, if it is there and unaltered."""
        folder = self._folder / sha256
        try:
            if folder.is_dir() and folder_sha256(folder) == sha256:
                return folder
        except (OSError, ValueError):
            pass  # unreadable or grown a link: no longer what was approved
        with contextlib.suppress(FileNotFoundError):  # put aside, not away: it may be evidence
            folder.rename(self._folder / f"altered-{sha256[:16]}-{self._random_bytes(4).hex()}")
        return None

    def take(self, model: RegisteredVersion) -> tuple[Path, str]:
        """Copy the registry's files now, whatever was approved. Returns folder and digest."""
        copy, found = self._copy(model)
        return self._keep(copy, found), found

    def _copy(self, model: RegisteredVersion) -> tuple[Path, str]:
        self._folder.mkdir(parents=True, exist_ok=True)
        copy = self._folder / f"unverified-{self._random_bytes(8).hex()}"
        self._registry.download(model, copy)
        try:
            return copy, folder_sha256(copy)
        except ValueError as error:
            shutil.rmtree(copy)
            raise ArtifactChanged(f"{model}: {error}") from None

    def _keep(self, copy: Path, sha256: str) -> Path:
        folder = self._folder / sha256
        self.held(sha256)  # an altered copy must not stand where this one is put
        try:
            os.replace(copy, folder)  # noqa: PTH105 - atomic: a reader sees a whole copy or none
        except OSError:  # somebody else finished the same copy first
            shutil.rmtree(copy)
        return folder
