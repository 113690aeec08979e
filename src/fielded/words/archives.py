"""Zip files with the same bytes for the same files: one moment for all, and nothing compressed, for builds of zlib
differ.
"""

import io
import zipfile
from collections.abc import Iterable

_EPOCH = (1980, 1, 1, 0, 0, 0)  # a zip file knows no earlier day
_UNIX = 3  # the system that permissions are of


def stored_zip(files: Iterable[tuple[str, bytes]], mode: int) -> bytes:
    """A zip file of files in the order in which they come.

    Args:
        files: name and bytes of each.
        mode: permissions of each when it is unpacked.
    """
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as archive:
        for name, content in files:
            entry = zipfile.ZipInfo(name, _EPOCH)
            entry.compress_type, entry.external_attr, entry.create_system = zipfile.ZIP_STORED, mode << 16, _UNIX
            archive.writestr(entry, content)
    return made.getvalue()
