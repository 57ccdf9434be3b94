"""One module for each family of foreign formats; importing this package registers them all."""

from mgimm_plugin.data.prepare.readers import (
    boxes_in_text,
    captions,
    coco,
    conversations,
    dior_rsvg,
    geojson,
    geopixeld,
    label_lines,
    mgimm,
    table,
    voc,
    vrsbench,
)

__all__ = [
    "boxes_in_text",
    "captions",
    "coco",
    "conversations",
    "dior_rsvg",
    "geojson",
    "geopixeld",
    "label_lines",
    "mgimm",
    "table",
    "voc",
    "vrsbench",
]
