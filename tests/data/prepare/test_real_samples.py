"""Genuine files of other people go through their readers. They are no part of the project: without them, skipped."""

import os
from collections import Counter
from pathlib import Path

import pytest

from mgimm_plugin.data.prepare.converting import Conversion, convert
from mgimm_plugin.data.prepare.source import Source, get_source_format
from mgimm_plugin.errors import MgimmError

DATA = Path(os.environ.get("MGIMM_REAL_DATA") or Path(__file__).resolve().parents[4] / "shared" / "data")
pytestmark = pytest.mark.skipif(not DATA.is_dir(), reason="the real samples are not here (set MGIMM_REAL_DATA)")


def read(name, *inputs, images=None, **options):
    source = Source([DATA / item for item in inputs], images=None if images is None else DATA / images, **options)
    found = list(get_source_format(name).read(source))
    assert source.losses.dropped == []
    return found


def categories(images):
    return Counter(item.category for image in images for item in image.objects)


def test_hrrsd():
    images = read("voc", "hrrsd_xml")
    assert len(images) == 100
    found = categories(images)
    assert found.total() == 245
    assert len(found) == 13
    assert (found["airplane"], found["T junction"], found["harbor"]) == (32, 27, 2)
    first = images[0]
    assert (first.file_name, first.width, first.height) == ("00138.jpg", 1180, 1268)
    assert [item.bbox for item in first.objects] == [
        (705, 291, 806, 408),
        (577, 771, 680, 898),
        (411, 957, 530, 1062),
    ]


def test_nwpu_vhr10():
    images = read("vhr10", "nwpu_vhr10_gt")
    assert len(images) == 450
    assert categories(images) == {
        "airplane": 683, "storage tank": 655, "vehicle": 581, "tennis court": 416, "baseball diamond": 205,
        "harbor": 119, "ship": 115, "basketball court": 79, "ground track field": 74, "bridge": 55,
    }  # fmt: skip
    assert (images[0].source_id, images[0].objects[0].bbox) == ("001", (562, 477, 630, 573))


@pytest.mark.parametrize("options", [{"images": "simd/images"}, {"image_size": (1024, 768)}])
def test_simd(options):
    images = read("yolo", "simd/yolo-labels", **options)
    assert len(images) == 30
    found = categories(images)
    assert (found.total(), found["car"], found["van"]) == (234, 86, 51)
    assert images[0].objects[0].bbox == pytest.approx((384, 436, 424, 454), abs=1e-3)


def test_dota():
    images = {image.source_id: image for image in read("dota", "dota_devkit", images="dota_devkit/images")}
    assert {name: len(image.objects) for name, image in images.items()} == {
        "P1088": 34,
        "P1234": 144,
        "P1888": 64,
        "P2709": 158,
    }
    first = images["P1888"]
    assert (first.width, first.height, first.extra) == (
        712,
        557,
        {"imagesource": "GoogleEarth", "gsd": "0.266170468393"},
    )
    assert first.objects[0].polygon == ((674, 375), (683, 375), (684, 394), (675, 395))
    assert first.objects[0].bbox == (674, 375, 684, 395)
    # Corners are kept as they are, without an image to tell whether they lie outside.
    assert max(item.bbox[2] for item in images["P1234"].objects) == 4001


def test_deepforest_as_xml_and_as_csv():
    xml = read("voc", "deepforest_neon", images="deepforest_neon")
    assert {image.source_id: len(image.objects) for image in xml} == {"OSBS_029": 61, "SOAP_061": 37}
    assert categories(xml) == {"Tree": 61, "Dead": 28, "Alive": 9}
    (table,) = read("table", "deepforest_neon/OSBS_029.csv")
    assert (len(table.objects), table.objects[0].bbox) == (61, (203, 67, 227, 90))
    (as_voc,) = read("table", "deepforest_neon/OSBS_029.csv", columns={"frame": "voc"})
    # The same trees in both files.
    assert {item.bbox for item in as_voc.objects} == {item.bbox for item in xml[0].objects}


def test_geopixeld():
    for inputs in ("geopixeld/data", "geopixeld/data/GeoPixelD", "geopixeld/data/GeoPixelD.json"):
        (image,) = read("geopixeld", inputs, images="geopixeld")
        assert (image.file_name, image.width) == ("data/GeoPixelD/train/P0224_0_800_0_800.png", 800)
        assert [len(item.polygon) for item in image.objects] == [569, 245, 211, 238]
        assert {item.category for item in image.objects} == {"tennis court"}
        assert "The tennis court-1 at right is a standard hard court" in image.descriptions[0]
        assert "[SEG]" not in image.descriptions[0]


def test_geojson_on_a_raster_of_16_bits(tmp_path):
    pytest.importorskip("rasterio")
    (image,) = read("geojson", "geotiff/geotiff_labels.geojson", images="geotiff")
    assert (image.file_name, image.width, image.height) == ("sample_geotiff.tif", 900, 900)
    assert categories([image]) == {"building": 43}
    assert image.objects[0].bbox == pytest.approx((63.905485, 443.345881, 86.053153, 493.684216), abs=1e-4)
    assert all(0 <= edge <= 900 for item in image.objects for edge in item.bbox)
    with_images = Source([DATA / "geotiff/geotiff_labels.geojson"], images=DATA / "geotiff")
    with pytest.raises(MgimmError, match="I;16, not 8 bits a channel"):
        convert(Conversion(source_format="geojson", source=with_images, output=tmp_path / "set", progress=False))


@pytest.mark.parametrize(("folder", "count"), [("aid150_rsicd_train", 420), ("rsicd_images", 6)])
def test_rsicd_captions(folder, count):
    images = read("table", f"{folder}/captions.jsonl", images=folder)
    assert (len(images), sum(len(image.captions) for image in images)) == (count, 5 * count)
    assert {image.split for image in images} == {"train"}
    assert all(image.width for image in images)


def test_dior_rsvg():
    (image,) = read("dior-rsvg", "dior_rsvg/Annotations/00001.xml")
    (item,) = image.objects
    assert (item.category, item.phrase) == ("golffield", "A green and brown golf field")
    assert item.bbox == (132, 236, 684, 672)
