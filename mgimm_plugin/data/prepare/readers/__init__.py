"""One module for each family of foreign formats; importing this package registers them all."""

from mgimm_plugin.data.prepare.readers import dior_rsvg, mgimm

__all__ = ["dior_rsvg", "mgimm"]
