"""Importing transformers reads its own source files once, not twice.

Changes: ``transformers.utils.import_utils.create_import_structure_from_path`` (remembers all folders) and
``fetch__all__`` (splits the lines from ``__all__`` on only).
Necessary since: transformers 5 lists what its modules export by reading all of them, first for ``transformers`` and
again for ``transformers.models``. It keeps what it found for 128 folders, and has more than 500 of them (0.7 s of a
processor).
No longer needed when: ``create_import_structure_from_path.cache_parameters()["maxsize"]`` is None, or larger than the
number of folders in ``transformers/models``.
"""

from __future__ import annotations

import functools
from types import ModuleType

from mgimm_patches._patch import Patch


def _remember_all(import_utils: ModuleType) -> bool:
    listing = import_utils.create_import_structure_from_path
    if listing.cache_parameters()["maxsize"] is None:
        return False
    import_utils.create_import_structure_from_path = functools.cache(listing.__wrapped__)  # type: ignore[attr-defined]
    return True


def _split_the_end_only(import_utils: ModuleType) -> bool:
    original = import_utils.fetch__all__

    def fetch__all__(file_content: str) -> list[str]:
        """What a source file exports; transformers looks for the last line that starts with ``__all__``."""
        return original(file_content[max(0, file_content.rfind("\n__all__") + 1) :])

    import_utils.fetch__all__ = fetch__all__  # type: ignore[attr-defined]
    return True


PATCHES = (
    Patch(
        name="transformers-listing",
        target="transformers.utils.import_utils",
        reason="transformers lists its source files twice at import, as it remembers 128 of its 500 folders",
        obsolete_when="create_import_structure_from_path remembers all folders",
        change=_remember_all,
    ),
    Patch(
        name="transformers-exports",
        target="transformers.utils.import_utils",
        reason="transformers splits all of its source files into lines at import to find their __all__",
        obsolete_when="fetch__all__ no longer splits whole files",
        change=_split_the_end_only,
    ),
)
