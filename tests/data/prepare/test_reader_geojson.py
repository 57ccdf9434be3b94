import sys
from dataclasses import replace

import numpy as np
import pytest

pytest.importorskip("rasterio")

from mgimm_plugin.data.prepare.readers.rasters import Raster, RasterFinder
from mgimm_plugin.data.prepare.source import get_source_format
from mgimm_plugin.errors import BoxError, MissingExtraError, RecordError
from tests.data.prepare.sample_files import as_json
from tests.data.prepare.samples import boxes, read
from tests.data.prepare.samples_of_boxes import GEOJSON, feature, geotiff

TRIANGLE = [[733606, 3725136.5], [733616, 3725136.5], [733616, 3725129]]
UTM = {"type": "name", "properties": {"name": "EPSG:32616"}}


def collection(*features, crs=UTM, **more):
    value = {"type": "FeatureCollection", "features": list(features), **more}
    return as_json(value if crs is None else {**value, "crs": crs})


def test_outlines_become_pixels_through_the_transform(tmp_path):
    ((image,), losses) = read("geojson", tmp_path)
    assert (image.source_id, image.file_name, image.width, image.height) == ("a", "a.tif", 60, 40)
    assert boxes(image) == [("building", (10, 5, 30, 20)), ("car", (2, 2, 4, 4))]
    assert image.objects[0].polygon == ((10, 5), (30, 5), (30, 20))
    assert image.objects[0].extra == {"building": "yes", "height": 4}
    assert not losses.dropped


def test_longitude_and_latitude_where_nothing_else_is_said(tmp_path):
    from rasterio.warp import transform

    longitudes, latitudes = transform("EPSG:32616", "OGC:CRS84", *zip(*TRIANGLE, strict=True))
    outline = [list(point) for point in zip(longitudes, latitudes, strict=True)]
    files = {**GEOJSON.files, "labels/a.geojson": collection(feature(outline, category="roof"), crs=None)}
    ((image,), _) = read("geojson", tmp_path, files)
    assert image.objects[0].bbox == pytest.approx((10, 5, 30, 20), abs=1e-3)


def test_coordinates_that_are_none_of_the_earths_are_told_once_where_no_crs_is(tmp_path):
    wild = feature(TRIANGLE, category="roof")
    near = feature([[-84.48, 33.64], [-84.47, 33.64], [-84.47, 33.63]], category="roof")
    content = collection(wild, near, wild, crs=None)
    images, losses = read("geojson", tmp_path, {**GEOJSON.files, "labels/a.geojson": content})
    assert [len(image.objects) for image in images] == [1]
    (error,) = losses.dropped
    assert (error.file.name, error.index, error.field) == ("a.geojson", None, "crs")
    assert "taken for longitude and latitude. Features left out because theirs cannot be: 2. Add" in error.message


def test_the_raster_is_the_one_named_or_the_one_around_the_feature(tmp_path):
    files = {
        "labels/features.geojson": collection(feature(TRIANGLE, category="a"), feature(TRIANGLE, image="wide.tif")),
        "labels/narrow.tif": geotiff(12, 12),  # has a corner of the triangle
        "labels/wide.tif": geotiff(60, 40),
    }
    ((image,), losses) = read("geojson", tmp_path, files)
    assert (image.file_name, len(image.objects)) == ("wide.tif", 2)
    assert not losses.dropped


@pytest.fixture
def tiles():
    """Rasters around one place that lie apart, overlap, are turned, in three systems; one is nowhere."""
    transforms = {
        f"{row}{column}": (0.5, 0, 733601 + 25 * column, 0, -0.5, 3725139 - 25 * row)
        for row in range(3)
        for column in range(3)
    }
    transforms |= {"turned": (0.35, 0.35, 733620, 0.35, -0.35, 3725125), "flat": (0, 0, 733601, 0, 0, 3725139)}
    rasters = [Raster(name, 60, 40, "uint8", transform, "EPSG:32616") for name, transform in transforms.items()]
    from rasterio.warp import transform

    for crs, step, corner in (("EPSG:32615", 0.5, (733570, 3725175)), ("EPSG:4326", 5e-6, (733685, 3725070))):
        (left,), (top,) = transform("EPSG:32616", crs, *[[value] for value in corner])
        rasters.append(Raster(crs, 60, 40, "uint8", (step, 0, left, 0, -step, top), crs))
    return rasters


@pytest.mark.parametrize("crs", ["EPSG:32616", "OGC:CRS84"])
def test_the_raster_around_an_outline_is_that_of_the_largest_overlap_whatever_the_systems(tiles, crs):
    from rasterio.warp import transform

    def overlap(raster, points):
        try:
            return raster.overlap(raster.pixels(points, crs))
        except BoxError:
            return 0.0

    generator, finder, found = np.random.default_rng(5), RasterFinder(tiles), []
    for size in generator.choice([1, 8, 40], 120):
        corners = generator.uniform((733560, 3725020), (733720, 3725180)) + generator.uniform(-size, size, (5, 2))
        points = np.stack(transform("EPSG:32616", crs, *corners.T), axis=1).tolist()
        areas = [overlap(raster, points) for raster in tiles]
        expected = tiles[int(np.argmax(areas))] if any(areas) else None  # argmax: the first of equals
        assert finder.around(points, crs) == expected
        found.append(expected.name if expected else None)
    assert {None, "turned", "EPSG:32615", "EPSG:4326", "00", "22"} <= {*found}


def test_an_outline_goes_into_each_reference_system_once_however_many_rasters_have_it(tiles, monkeypatch):
    import rasterio.warp

    systems, transform = [], rasterio.warp.transform
    monkeypatch.setattr(rasterio.warp, "transform", lambda *args: systems.append(args[1].to_epsg()) or transform(*args))
    assert RasterFinder(tiles).around(TRIANGLE, "EPSG:32616").name == "00"
    assert systems == [32616, 32615, 4326]


def test_a_bad_feature_costs_that_feature(tmp_path):
    far = [[x + 10_000, y] for x, y in TRIANGLE]
    point = {"type": "Feature", "properties": {}, "geometry": {"type": "Point", "coordinates": [1, 2]}}
    line = feature([TRIANGLE[0], TRIANGLE[0]])
    wrong = feature([[0, "north"], *TRIANGLE])
    files = {
        "labels/other.geojson": collection(feature(TRIANGLE, label="roof"), feature(far), point, line, wrong, None),
        "labels/a.tif": geotiff(),
    }
    ((image,), losses) = read("geojson", tmp_path, files)
    assert boxes(image) == [("roof", (10, 5, 30, 20))]
    assert [error.index for error in losses.dropped] == [1, 2, 3, 4, 5]
    assert "lies in none of the rasters" in str(losses.dropped[0])


@pytest.mark.parametrize("folder", ["labels", "images"])
def test_hidden_rasters_are_passed_over(tmp_path, folder):
    hidden = {f"{folder}/._a.tif": b"\0\5\x16\7"} | ({"images/.tmp/a.tif": b""} if folder == "images" else {})
    source = GEOJSON.write(tmp_path, {"labels/a.geojson": GEOJSON.files["labels/a.geojson"]} | hidden)
    (tmp_path / folder).mkdir(exist_ok=True)
    (tmp_path / folder / "a.tif").write_bytes(geotiff())
    source = replace(source, images=tmp_path / "images" if folder == "images" else None)
    assert len(list(get_source_format("geojson").read(source))) == 1
    assert not source.losses.dropped


@pytest.mark.parametrize("named", [{}, {"image": "tile"}, {"image": "tile.tif"}])
@pytest.mark.parametrize("images", [None, "labels", "images"])
def test_of_rasters_of_one_name_the_one_of_the_files_folder_is_meant(tmp_path, images, named):
    files = {}
    for year in ("2019", "2021"):
        files[f"labels/{year}/tile.geojson"] = collection(feature(TRIANGLE, category=year, **named))
        files[f"{images or 'labels'}/{year}/tile.tif"] = geotiff()
    source = GEOJSON.write(tmp_path, files)
    found = list(get_source_format("geojson").read(replace(source, images=images and tmp_path / images)))
    assert [(image.file_name, [item.category for item in image.objects]) for image in found] == [
        ("2019/tile.tif", ["2019"]),
        ("2021/tile.tif", ["2021"]),
    ]
    assert not source.losses.dropped


def test_rasters_of_one_name_that_no_folder_tells_apart_and_those_of_another_part_are_not_taken(tmp_path):
    several = [f"images/{year}/tile.tif" for year in ("2019", "2021")]
    files = dict.fromkeys([*several, "images/train/one.tif"], geotiff())
    files |= dict.fromkeys(["labels/tile.geojson", "labels/val/one.geojson"], collection(feature(TRIANGLE)))
    source = GEOJSON.write(tmp_path, files)
    assert list(get_source_format("geojson").read(replace(source, images=tmp_path / "images"))) == []
    both, other = map(str, source.losses.dropped)
    assert "several times among the images: 2019/tile.tif, 2021/tile.tif" in both
    assert "train/one.tif has the name, but the annotation's folders (labels/val) tell another" in other


def test_rasters_in_a_linked_folder_are_found(tmp_path):
    source = GEOJSON.write(tmp_path, {"labels/a.geojson": GEOJSON.files["labels/a.geojson"], "disk/a.tif": geotiff()})
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / "val").symlink_to(tmp_path / "disk")
    (image,) = get_source_format("geojson").read(replace(source, images=tmp_path / "images"))
    assert image.file_name == "val/a.tif"


def test_a_raster_that_training_refuses_is_told(tmp_path):
    ((image,), losses) = read("geojson", tmp_path, {**GEOJSON.files, "labels/a.tif": geotiff(dtype="uint16")})
    assert len(image.objects) == 2
    assert "a.tif has pixels of type uint16, not 8 bits a channel" in losses.notes[0]


def test_parts_and_holes_are_accounted_for(tmp_path):
    outline = [*TRIANGLE, TRIANGLE[0]]
    geometry = {"type": "MultiPolygon", "coordinates": [[outline, outline], [outline]]}
    item = {"type": "Feature", "id": 7, "properties": {"building": "house"}, "geometry": geometry}
    ((image,), losses) = read("geojson", tmp_path, {**GEOJSON.files, "labels/a.geojson": collection(item, item)})
    assert boxes(image) == [("house", (10, 5, 30, 20))]
    assert (image.objects[0].source_id, image.objects[0].polygon) == ("7", None)
    assert len(image.objects[0].extra["parts"]) == 2
    assert losses.changed["hole of an outline left out"] == 1
    assert "came before" in str(losses.dropped[0])


def test_a_column_may_hold_the_category(tmp_path):
    files = {
        **GEOJSON.files,
        "labels/a.geojson": collection(feature(TRIANGLE, roof="yes"), feature(TRIANGLE, roof="flat")),
    }
    source = replace(GEOJSON, options={"columns": {"category": "roof"}}).write(tmp_path, files)
    (image,) = get_source_format("geojson").read(source)
    assert [item.category for item in image.objects] == ["roof", "flat"]


def test_without_a_raster_or_a_known_reference_system_nothing_is_read(tmp_path):
    with pytest.raises(RecordError, match="needs the raster"):
        read("geojson", tmp_path / "1", {"labels/a.geojson": collection()})
    with pytest.raises(RecordError, match="needs the raster"):
        read("geojson", tmp_path / "2", {"labels/a.geojson": collection(), "labels/a.tif": b"II*\0broken"})
    unknown = {"type": "name", "properties": {"name": "EPSG:999999"}}
    files = {**GEOJSON.files, "labels/a.geojson": collection(feature(TRIANGLE), crs=unknown)}
    images, losses = read("geojson", tmp_path / "3", files)
    assert images == []
    assert "reference system 'EPSG:999999' cannot be used" in str(losses.dropped[0])


def test_without_rasterio_the_extra_is_named(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "rasterio", None)
    with pytest.raises(MissingExtraError, match=r"mgimm-plugin\[geo\]"):
        read("geojson", tmp_path)
