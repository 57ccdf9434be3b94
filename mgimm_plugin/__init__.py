"""MGIMM for LLaVA: region tokens, a region interactive module, and two-stage tuning for remote-sensing images.

``import mgimm_plugin`` is cheap (no torch). ``mgimm_plugin.register()`` activates the plugin in a process.
"""

from __future__ import annotations

__version__ = "0.1.0"

__all__ = ["__version__", "register"]


def register() -> None:
    """Activate the plugin: patches, model types, conversation templates. Any number of times is harmless."""
    from mgimm_plugin.registration import register as _register

    _register()
