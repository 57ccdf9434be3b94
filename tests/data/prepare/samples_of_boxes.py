"""Samples of formats that are about boxes."""

from __future__ import annotations

from tests.data.prepare.sample_files import Sample, as_json, as_jsonl


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
TABLE = Sample(
    {
        "labels/boxes.csv": b"image_path,xmin,ymin,xmax,ymax,label,score\na.png,10,5,30,20,Tree,0.5\n"
        b"a.png,1,1,9,9,Tree,\nb.png,2,2,4,4,Dead,1\n",
        "labels/captions.jsonl": as_jsonl({"image": "a.png", "split": "train", "sentences": ["Trees.", "Two trees."]}),
    }
)
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
