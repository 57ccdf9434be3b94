"""A tiny sample of every foreign format, made by code; the boxes in them are used by the readers' tests."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from PIL import Image

from mgimm_plugin.data.prepare.annotations import AnnotatedImage
from mgimm_plugin.data.prepare.source import Losses, Source, get_source_format


@dataclass(frozen=True)
class Sample:
    """Files of a format.

    Attributes:
        files: Content by path.
        inputs: What is given to the reader, relative to the folder.
        images: Size of each image, by path in the folder ``images``.
        options: Further fields of ``Source``.
    """

    files: Mapping[str, bytes]
    inputs: tuple[str, ...] = ("labels",)
    images: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    options: Mapping[str, Any] = field(default_factory=dict)

    def write(self, folder: Path, files: Mapping[str, bytes] | None = None) -> Source:
        """Write the sample, or ``files`` in place of its own, and return the source."""
        for name, content in (self.files if files is None else files).items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes(content)
        for name, size in self.images.items():
            path = folder / "images" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(_image(size))
        images = folder / "images" if self.images else None
        return Source([folder / name for name in self.inputs], images=images, **self.options)


def _image(size: tuple[int, int]) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", size, (90, 110, 80)).save(file, "PNG")
    return file.getvalue()


def as_json(value: object) -> bytes:
    return json.dumps(value, indent=1).encode()


def as_jsonl(*values: object) -> bytes:
    return b"".join(json.dumps(value).encode() + b"\n" for value in values)


def voc_xml(filename: str, *objects: tuple[str, tuple[int, int, int, int], str], size: str = "60 40") -> bytes:
    width, height = size.split()
    parts = "".join(
        f"<object><name>{name}</name><pose>Left</pose><truncated>0</truncated><difficult>1</difficult><bndbox>"
        f"<ymax>{ymax}</ymax><xmin>{xmin}</xmin><ymin>{ymin}</ymin><xmax>{xmax}</xmax></bndbox>{more}</object>"
        for name, (xmin, ymin, xmax, ymax), more in objects
    )
    return (
        f"<annotation><folder>F</folder><filename>{filename}</filename><size><width>{width}</width>"
        f"<height>{height}</height><depth>3</depth></size>{parts}</annotation>"
    ).encode()


VOC = Sample(
    {
        "labels/a.xml": voc_xml("a.png", ("ship", (11, 6, 30, 20), ""), ("harbor", (1, 1, 60, 40), "")),
        "labels/b.xml": voc_xml("b.png", ("plane", (7, 7, 7, 7), "")),
    }
)
DIOR_RSVG = Sample(
    {
        "labels/Annotations/00001.xml": voc_xml(
            "00001.jpg", ("ship", (11, 6, 30, 20), "<description>A gray ship on the left</description>"), size="800 800"
        ),
        "labels/Annotations/00002.xml": voc_xml(
            "00002.jpg", ("dam", (1, 1, 60, 40), "<description>A dam at the top</description>"), size="800 800"
        ),
        "labels/train.txt": b"0\n",
        "labels/val.txt": b"",
        "labels/test.txt": b"1\n",
    }
)
MGIMM = Sample(
    {
        "labels/dior-vg.json": as_json(
            {
                "images": [{"id": 1, "file_name": "1.png", "width": 60, "height": 40}],
                "annotations": [{"image_id": 1, "bbox": [10, 5, 20, 15], "caption": "A gray ship"}],
            }
        ),
        "labels/dior-gpg-test.json": as_json(
            [
                {
                    "image_id": "2",
                    "file_name": "2.png",
                    "width": 60,
                    "height": 40,
                    "bbox": [[10, 5, 20, 15]],
                    "conversations": [
                        {"from": "human", "value": "<image>\nDescribe it."},
                        {"from": "gpt", "value": "A ship lies in a harbor."},
                    ],
                }
            ]
        ),
    }
)
DOTA = Sample(
    {
        "labels/P0001.txt": b"imagesource:GoogleEarth\r\ngsd:0.5\r\n"
        b"10 5 30 5 30 20 10 20 small-vehicle 0\r\n20.5 2 30 10 22 18.25 12 9 large-vehicle 1\r\n",
        "labels/P0002.txt": "\ufeffimagesource:GF\ngsd:null\n1 1 9 1 9 8 1 8 plane\n".encode(),
    },
    images={"P0001.png": (60, 40)},
)
VHR10 = Sample({"labels/001.txt": b"(11,6),(30,20),1 \r\n ( 1, 1 ),( 60, 40 ), 10\r\n\r\n"})
YOLO = Sample(
    {
        "labels/a.txt": b"0 0.5 0.5 0.5 0.25\n1 0.1 0.2 0.2 0.4 0.93\n",
        "labels/b.txt": b"1 0.1 0.1 0.5 0.1 0.5 0.5\n",
        "labels/classes.txt": b"car\nlong vehicle\n",
    },
    images={"a.png": (60, 40), "b.png": (100, 80)},
)
COCO = Sample(
    {
        "labels/instances.json": as_json(
            {
                "info": {"year": 2026},
                "images": [
                    {"id": 7, "file_name": "a.png", "width": 60, "height": 40},
                    {"id": 8, "file_name": "b.png", "width": 50, "height": 30},
                ],
                "categories": [{"id": 3, "name": "ship"}],
                "annotations": [
                    {
                        "id": 1, "image_id": 7, "category_id": 3, "bbox": [10, 5, 20, 15], "area": 300, "iscrowd": 0,
                        "segmentation": [[10, 5, 30, 5, 30, 20]],
                    },
                    {
                        "id": 2, "image_id": 8, "category_id": 3, "bbox": [0, 0, 9, 9], "iscrowd": 1,
                        "segmentation": {"counts": [1, 2], "size": [30, 50]},
                    },
                ],
            }
        ),
        "labels/captions.json": as_json(
            {
                "images": [{"id": 107, "file_name": "a.png", "width": 60, "height": 40}],
                "annotations": [
                    {"id": 1, "image_id": 107, "caption": "A ship lies in a harbor."},
                    {"id": 2, "image_id": 107, "caption": "One ship."},
                ],
            }
        ),
    }
)  # fmt: skip
VRSBENCH = Sample(
    {
        "labels/P0001_0002.json": b"""{
  "image": "P0001_0002.png",
  "caption": "The image shows a ship.",
  "objects": [
    {"obj_id": 0, "referring_sentence": "The ship on the left.", "obj_cls": "ship", "obj_coord": [0.1, 0.2, 0.5, 1.1],
     "obj_corner": [0.1, 0.2, 0.5, 0.2, 0.5, 1.1, 0.1, 1.1], "is_unique": true, "obj_size": "large"}, // sticks out
    {"obj_id": 1, "referring_sentence": "", "obj_cls": "harbor", "obj_coord": [0, 0, 1, 1]},
  ],
  "qa_pairs": [{"ques_id": 0, "question": "How many ships?", "type": "object quantity", "answer": "1"}]
}"""
    },
    options={"image_size": (512, 512)},
)
LLAVA = Sample(
    {
        "labels/mix.json": as_json(
            [
                {
                    "id": "one",
                    "image": "a.png",
                    "conversations": [
                        {"from": "human", "value": "What is this?\n<image>"},
                        {"from": "gpt", "value": "A harbor."},
                    ],
                    "model": "",
                },
                {
                    "id": "two",
                    "image": "a.png",
                    "width": 60,
                    "height": 40,
                    "regions": [{"bbox": [10, 5, 30, 20], "category": "ship"}],
                    "conversations": [
                        {"from": "human", "value": "<region>\nWhat is this?"},
                        {"from": "gpt", "value": "A ship."},
                    ],
                },
                {
                    "id": "two",
                    "conversations": [{"from": "human", "value": "Hello"}, {"from": "gpt", "value": "Hello."}],
                },
            ]
        )
    },
    images={"a.png": (60, 40)},
)


def turns(*texts: str) -> list[dict[str, str]]:
    return [{"from": ("human", "gpt")[place % 2], "value": text} for place, text in enumerate(texts)]


GEOCHAT = Sample(
    {
        "labels/geochat.json": as_json(
            [
                {
                    "id": "refer",
                    "image": "a.png",
                    "conversations": turns(
                        "<image>\n[refer] Where is <p>the large ship at the left</p> ?",
                        "{<10><20><30><60>|<0>}",
                        "[identify] What is at {<50><25><75><50>|<90>} ?",
                        "A harbor",
                    ),
                },
                {
                    "id": "ground",
                    "image": "a.png",
                    "conversations": turns(
                        "<image>\n[grounding] Describe the image.",
                        "There is <p>a ship</p> {<10><20><30><60>|<0>} near <p>two cars</p> "
                        "{<50><50><60><60>|<5>}<delim>{<70><50><80><60>|<5>} .",
                    ),
                },
            ]
        )
    },
    options={"image_size": (200, 100)},
)
EARTHDIAL = Sample(
    {
        "labels/earthdial.jsonl": as_jsonl(
            {
                "id": 1,
                "image": ["a.png"],
                "conversations": turns(
                    "<image>\\n[identify] What is at <box>[[10, 20, 30, 60, 0]]</box>?", "A ship",
                    "And at <box>[[[50, 25, 75, 50, 90]]]</box>?", "A harbor",
                ),
            },
            {"id": 2, "image": "a.png", "conversations": turns("<image>\nDescribe it.", "A port.")},
        )
    },
    options={"image_size": (200, 100)},
)  # fmt: skip
RSICAP = Sample(
    {
        "labels/captions.json": as_json(
            {
                "annotations": [
                    {"filename": "a.png", "text_input": "Describe it.", "text_output": "A port with two ships."}
                ]
            }
        )
    }
)
RSIEVAL = Sample(
    {
        "labels/annotations.json": as_json(
            [
                {
                    "filename": "a.png",
                    "caption": "A port with two ships.",
                    "qa_pairs": [{"question": "How many ships?", "answer": 2, "type": "quantity"}],
                }
            ]
        )
    }
)
KARPATHY = Sample(
    {
        "labels/dataset_rsicd.json": as_json(
            {
                "dataset": "rsicd",
                "images": [
                    {
                        "filename": "airport_1.jpg",
                        "imgid": 0,
                        "sentids": [0, 1],
                        "split": "train",
                        "sentences": [
                            {"raw": "many planes are parked .", "tokens": ["many", "planes"], "imgid": 0, "sentid": 0},
                            {"tokens": ["an", "airport"], "imgid": 0, "sentid": 1},
                        ],
                    },
                    {"filename": "bridge_1.jpg", "imgid": 1, "split": "test", "sentences": [{"raw": "a bridge"}]},
                ],
            }
        )
    }
)
GEOPIXELD = Sample(
    {
        "labels/GeoPixelD.json": as_json(
            [
                {
                    "id": 0,
                    "image": "data/train/P1.png",
                    "conversations": [
                        {"from": "human", "value": "<image>Describe it, with masks."},
                        {"from": "bot", "value": "The <p> court-1 </p> [SEG] is beside <p> court-2 </p> [SEG] ."},
                    ],
                    "polygons": "data/train/P1.json",
                }
            ]
        ),
        "labels/train/P1.json": as_json(
            {
                "id": 0,
                "img": "data/train/P1.png",
                "gcg_description": "The <p> court-1 </p> [SEG] is beside <p> court-2 </p> [SEG] .",
                "polygons": [
                    [[[10, 5], [30, 5], [30, 20], [10, 20]]],
                    [[[40, 5], [45, 5], [45, 9]], [[50, 30], [55, 30], [55, 35]]],
                ],
            }
        ),
    },
    images={"P1.png": (60, 40)},
)
TABLE = Sample(
    {
        "labels/boxes.csv": b"image_path,xmin,ymin,xmax,ymax,label,score\na.png,10,5,30,20,Tree,0.5\n"
        b"a.png,1,1,9,9,Tree,\nb.png,2,2,4,4,Dead,1\n",
        "labels/captions.jsonl": as_jsonl({"image": "a.png", "split": "train", "sentences": ["Trees.", "Two trees."]}),
    }
)


def geotiff(width: int = 60, height: int = 40, dtype: str = "uint8") -> bytes:
    """A raster of half meters in UTM zone 16 north, its top left corner at 733601, 3725139."""
    import numpy as np
    from rasterio.io import MemoryFile
    from rasterio.transform import Affine

    profile = {"driver": "GTiff", "width": width, "height": height, "count": 3, "dtype": dtype, "crs": "EPSG:32616"}
    with MemoryFile() as memory:
        with memory.open(**profile, transform=Affine(0.5, 0, 733601, 0, -0.5, 3725139)) as file:
            file.write(np.full((3, height, width), 90, dtype=dtype))
        return bytes(memory.read())


def feature(points: list[list[float]], **properties: object) -> dict[str, object]:
    geometry = {"type": "Polygon", "coordinates": [[*points, points[0]]]}
    return {"type": "Feature", "properties": properties, "geometry": geometry}


GEOJSON = Sample(
    {
        "labels/a.geojson": as_json(
            {
                "type": "FeatureCollection",
                "crs": {"type": "name", "properties": {"name": "urn:ogc:def:crs:EPSG::32616"}},
                "features": [
                    feature([[733606, 3725136.5], [733616, 3725136.5], [733616, 3725129]], building="yes", height=4),
                    feature([[733602, 3725138], [733603, 3725138], [733603, 3725137]], category="car"),
                ],
            }
        ),
        "labels/a.tif": geotiff(),
    }
)

SAMPLES: Mapping[str, Sample] = {
    "coco": COCO,
    "dior-rsvg": DIOR_RSVG,
    "dota": DOTA,
    "earthdial": EARTHDIAL,
    "geochat": GEOCHAT,
    "geojson": GEOJSON,
    "geopixeld": GEOPIXELD,
    "karpathy": KARPATHY,
    "llava": LLAVA,
    "mgimm": MGIMM,
    "rsicap": RSICAP,
    "rsieval": RSIEVAL,
    "table": TABLE,
    "vhr10": VHR10,
    "voc": VOC,
    "vrsbench": VRSBENCH,
    "yolo": YOLO,
}


def read(name: str, folder: Path, files: Mapping[str, bytes] | None = None) -> tuple[list[AnnotatedImage], Losses]:
    """The images of a format's sample, or of other files in its place, and what was lost."""
    source = SAMPLES[name].write(folder, files)
    return list(get_source_format(name).read(source)), source.losses


def boxes(image: AnnotatedImage) -> list[tuple[str | None, tuple[float, ...]]]:
    """Class and box of each object."""
    return [(item.category, item.bbox) for item in image.objects]
