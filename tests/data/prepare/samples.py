"""A tiny sample of every foreign format, made by code; the boxes in them are used by the readers' tests."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from mgimm_plugin.data.prepare.annotations import AnnotatedImage
from mgimm_plugin.data.prepare.source import Losses, get_source_format
from tests.data.prepare import samples_of_boxes as boxed
from tests.data.prepare import samples_of_texts as told
from tests.data.prepare.sample_files import Sample

SAMPLES: Mapping[str, Sample] = {
    "coco": boxed.COCO,
    "dior-rsvg": boxed.DIOR_RSVG,
    "dota": boxed.DOTA,
    "earthdial": told.EARTHDIAL,
    "geochat": told.GEOCHAT,
    "geojson": boxed.GEOJSON,
    "geopixeld": told.GEOPIXELD,
    "karpathy": told.KARPATHY,
    "llava": told.LLAVA,
    "mgimm": told.MGIMM,
    "rsicap": told.RSICAP,
    "rsieval": told.RSIEVAL,
    "table": boxed.TABLE,
    "vhr10": boxed.VHR10,
    "voc": boxed.VOC,
    "vrsbench": told.VRSBENCH,
    "yolo": boxed.YOLO,
}


def read(name: str, folder: Path, files: Mapping[str, bytes] | None = None) -> tuple[list[AnnotatedImage], Losses]:
    """The images of a format's sample, or of other files in its place, and what was lost."""
    source = SAMPLES[name].write(folder, files)
    return list(get_source_format(name).read(source)), source.losses


def boxes(image: AnnotatedImage) -> list[tuple[str | None, tuple[float, ...]]]:
    """Class and box of each object."""
    return [(item.category, item.bbox) for item in image.objects]
