"""What ``mgimm_plugin.register()`` does, kept apart so that importing the package stays cheap."""

from __future__ import annotations


def register() -> None:
    """Apply the patches, then register model types and templates."""
    import mgimm_patches

    mgimm_patches.apply_all()

    from mgimm_plugin.conversation import register_templates
    from mgimm_plugin.model.families import register_families

    register_families()
    register_templates()
