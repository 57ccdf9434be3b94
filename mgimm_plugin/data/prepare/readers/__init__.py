"""One module for each family of foreign formats; importing this package registers them all."""

from mgimm_plugin.data.prepare.readers import dior_rsvg, label_lines, mgimm, voc

__all__ = ["dior_rsvg", "label_lines", "mgimm", "voc"]
