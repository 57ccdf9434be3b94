"""GeoJSON: outlines in longitude and latitude or a projected system, put into pixels through a raster's transform."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath
from typing import Any, Final

import numpy as np

from mgimm_plugin.data.prepare.annotations import AnnotatedImage, AnnotatedObject
from mgimm_plugin.data.prepare.readers.image_names import Ids, ImageNames, identity, plain
from mgimm_plugin.data.prepare.readers.json_files import first_of, objects_of
from mgimm_plugin.data.prepare.readers.rasters import (
    LONGITUDE_LATITUDE,
    SUFFIXES,
    Raster,
    RasterFinder,
    open_raster,
)
from mgimm_plugin.data.prepare.reading import files_below, files_in, load_json
from mgimm_plugin.data.prepare.source import Source, SourceFormat, register_source_format
from mgimm_plugin.data.prepare.values import checked_box, checked_points, number, sentence, shown, words
from mgimm_plugin.errors import BoxError, RecordError
from mgimm_plugin.geometry import points_to_xyxy

_IMAGE: Final = ("image", "image_path", "file_name", "filename", "raster", "image_id")
_CATEGORY: Final = ("category", "class", "label", "class_name", "type_name")
_PHRASE: Final = ("phrase", "expression", "referring_sentence")
_OSM: Final = (
    "building", "aeroway", "man_made", "leisure", "amenity", "power", "railway", "bridge", "highway", "waterway",
    "water", "natural", "landuse",
)  # fmt: skip
"""OpenStreetMap's tags that say what something is, the most telling first."""
_YES: Final = frozenset({"yes", "true", "1"})
_HOLES: Final = "hole of an outline left out"
_NO_OUTLINES: Final = ("Point", "MultiPoint", "LineString", "MultiLineString")
_PARTS: Final = "outline of several parts: kept as parts beside the box around them all"

Outline = list[list[float]]


def read(source: Source) -> Iterator[AnnotatedImage]:
    """Yield the rasters that the features of GeoJSON files lie in.

    A feature belongs to the raster that it, or its file, names; or to the one of its file's name; or to the one that
    most of it lies in. Rasters are looked for in the image folder, among the inputs, and beside the files.

    Raises:
        RecordError: The inputs have no GeoJSON, or there is no raster.
        MissingExtraError: rasterio is not installed.
    """
    given = [path for path in source.inputs if path.suffix.lower() not in SUFFIXES]
    paths = files_in(given, {".geojson", ".json"})
    folder, rasters = _rasters(source, paths)
    if not rasters:
        raise RecordError("GeoJSON needs the raster that it lies in, for its transform: name its folder with --images")
    images = _Images(rasters)
    names = ImageNames(replace(source, images=folder), images.by_name)
    for path in paths:
        try:
            _File(path, load_json(path), source, names, images).read()
        except RecordError as error:
            source.losses.drop(error.at(file=path))
    ids = Ids(source.losses)
    for name, image in images.by_name.items():
        if image.objects:
            if image.raster.dtype != "uint8":
                source.losses.note(
                    f"{name} has pixels of type {image.raster.dtype}, not 8 bits a channel: as an image it is refused. "
                    "Convert it to 8-bit RGB."
                )
            yield AnnotatedImage(
                source_id=ids.unique(str(PurePosixPath(name).with_suffix(""))),
                file_name=name,
                width=image.raster.width,
                height=image.raster.height,
                objects=tuple(image.objects),
                # Roads that are lines are missing from no count of buildings.
                is_complete=image.is_complete
                and image.without_outline.isdisjoint(item.category for item in image.objects),
            )


@dataclass(slots=True)
class _Gathered:
    raster: Raster
    objects: list[AnnotatedObject] = field(default_factory=list)
    is_complete: bool = True  # not where one of its objects was dropped
    without_outline: set[str | None] = field(default_factory=set)  # categories of points and lines, which are dropped


class _Images:
    """The rasters with what was found to lie in each."""

    def __init__(self, rasters: Sequence[Raster]) -> None:
        self.by_name = {raster.name: _Gathered(raster) for raster in rasters}
        self._finder = RasterFinder(rasters)

    @property
    def only(self) -> _Gathered | None:
        """The raster, where there is just one."""
        return next(iter(self.by_name.values())) if len(self.by_name) == 1 else None

    def named(self, name: str) -> _Gathered:
        if name not in self.by_name:
            raise RecordError(f"there is no raster {name!r}", field="image")
        return self.by_name[name]

    def around(self, points: Outline, crs: str) -> _Gathered:
        raster = self._finder.around(points, crs)
        if raster is None:
            raise BoxError("lies in none of the rasters", field="geometry")
        return self.by_name[raster.name]


def _rasters(source: Source, paths: Sequence[Path]) -> tuple[Path | None, list[Raster]]:
    """The folder that the rasters are in, and those that can be used, named relative to it; the others are dropped.

    Without an image folder a raster is called by its file name alone, unless two have the same.
    """
    given = [path for path in source.inputs if path.suffix.lower() in SUFFIXES]
    if source.images is not None:
        files: Iterable[Path] = sorted(files_below(source.images))
    else:
        folders = dict.fromkeys(path.parent for path in paths)
        files = given or [item for folder in folders for item in sorted(folder.glob("[!.]*"))]
    found = [path for path in dict.fromkeys(files) if path.suffix.lower() in SUFFIXES and path.is_file()]
    if not found:
        return None, []
    folder = source.images or Path(os.path.commonpath([path.absolute().parent for path in found]))
    names = [path.name for path in found]
    if source.images is not None or len({*names}) < len(names):
        names = [path.absolute().relative_to(folder.absolute()).as_posix() for path in found]
    rasters = []
    for name, path in zip(names, found, strict=True):
        try:
            rasters.append(open_raster(path, name))
        except RecordError as error:
            source.losses.drop(error)
    return folder, rasters


class _File:
    """One file of features."""

    def __init__(self, path: Path, value: Any, source: Source, names: ImageNames, images: _Images) -> None:
        if not isinstance(value, dict) or value.get("type") not in ("FeatureCollection", "Feature"):
            raise RecordError("is no GeoJSON: it must be a FeatureCollection or a Feature")
        self._path, self._value, self._source, self._names = path, value, source, names
        self._images = images
        self._seen: dict[str, Mapping[str, Any]] = {}
        self._off_earth = 0  # features that cannot be longitude and latitude, which the file does not say they are
        self._crs = _crs_of(value.get("crs"))

    def read(self) -> None:
        features = [self._value] if self._value["type"] == "Feature" else self._value.get("features")
        for index, feature in objects_of(features, self._source.losses, file=self._path):
            try:
                self._add(feature, index)
            except RecordError as error:
                self._source.losses.drop(error.at(file=self._path, index=index))
        if self._off_earth:
            message = (
                "is missing, and so the coordinates were taken for longitude and latitude. Features left out because "
                f"theirs cannot be: {self._off_earth}. Add the crs that they are in, or reproject them"
            )
            self._source.losses.drop(RecordError(message, file=self._path, field="crs"))

    def _add(self, feature: Mapping[str, Any], index: int) -> None:
        name = f"{self._path.stem}-{index}"
        properties = feature.get("properties")
        properties = properties if isinstance(properties, dict) else {}
        image = first = outlines = None
        is_of_another = True
        try:
            image = self._image_told(properties)
            is_of_another = False
            if feature.get("id") is not None:
                name = identity(feature["id"], field="id")
                first = self._seen.get(name)
                if first is not None:
                    raise RecordError("a feature of this id came before; this one is left out", field="id")
            outlines = self._outlines(feature.get("geometry"))
            if self._value.get("crs") is None and not all(map(_is_on_earth, outlines)):
                self._off_earth += 1
                if (lost := image or self._images.only) is not None:
                    lost.is_complete = False
                return
            if image is None:
                image = self._images.around([point for outline in outlines for point in outline], self._crs)
            image.objects.append(self._object(image.raster, outlines, properties, name))
        except RecordError as error:
            if outlines is None and not is_of_another:
                image = image or self._images.only
            # Without a feature that is there twice, word for word, no object is missing.
            if image is not None and first != feature:
                if _kind(feature.get("geometry")) in _NO_OUTLINES:
                    image.without_outline.add(self._category(properties))
                else:
                    image.is_complete = False
            raise error.at(record=name) from error
        self._seen[name] = feature

    def _object(
        self, raster: Raster, outlines: Sequence[Outline], properties: Mapping[str, Any], name: str
    ) -> AnnotatedObject:
        columns = self._source.columns
        used = [columns[key] for key in ("image", "category", "phrase") if key in columns]
        parts = [checked_points(raster.pixels(outline, self._crs).tolist(), field="geometry") for outline in outlines]
        bbox = checked_box(points_to_xyxy([point for part in parts for point in part])[0].tolist(), field="geometry")
        phrase = first_of(properties, [columns["phrase"]] if "phrase" in columns else _PHRASE)
        extra = plain(properties, (*used, *_IMAGE, *_CATEGORY, *_PHRASE), self._source.losses)
        if len(parts) > 1:
            extra["parts"] = [[list(point) for point in part] for part in parts]
            self._source.losses.change(_PARTS)
        return AnnotatedObject(
            source_id=name,
            bbox=bbox,
            category=self._category(properties),
            phrase=None if phrase in (None, "") else sentence(phrase, field="properties"),
            polygon=parts[0] if len(parts) == 1 else None,
            extra=extra,
        )

    def _category(self, properties: Mapping[str, Any]) -> str | None:
        chosen = self._source.columns.get("category")
        for key in (chosen,) if chosen is not None else (*_CATEGORY, *_OSM):
            value = properties.get(key)
            if isinstance(value, int) and not isinstance(value, bool):
                value = str(value)
            if value is True or (isinstance(value, str) and value.strip().lower() in _YES):
                return key
            if isinstance(value, str) and value.strip().lower() not in ("", "no"):
                return words(value, field=f"properties.{key}")
        return None

    def _outlines(self, geometry: object) -> list[Outline]:
        """The outer outline of each part, in the file's reference system."""
        if not isinstance(geometry, dict):
            raise RecordError(f"must be an object, not {shown(geometry)}", field="geometry")
        kind, coordinates = _kind(geometry), geometry.get("coordinates")
        if kind not in ("Polygon", "MultiPolygon"):
            raise BoxError(f"is a {shown(kind)}, which encloses nothing; Polygon and MultiPolygon do", field="geometry")
        parts = [coordinates] if kind == "Polygon" else coordinates
        if not isinstance(parts, list) or not parts or not all(isinstance(part, list) and part for part in parts):
            raise BoxError("has no outline", field="geometry.coordinates")
        self._source.losses.change(_HOLES, sum(len(part) - 1 for part in parts))
        return [_ring(part[0]) for part in parts]

    def _image_told(self, properties: Mapping[str, Any]) -> _Gathered | None:
        """The raster that a feature, its file, or the file's name tells; None where its place has to tell."""
        column = self._source.columns.get("image")
        written = first_of(properties, _IMAGE if column is None else [column])
        if written is None:
            written = first_of(self._value, _IMAGE)
        if written is not None:
            return self._images.named(self._names.named(written, annotation=self._path, field="image"))
        return self._images.by_name.get(self._names.beside(self._path, ""))


def _kind(geometry: object) -> object:
    return geometry.get("type") if isinstance(geometry, dict) else None


def _ring(points: object) -> Outline:
    if not isinstance(points, list) or not all(isinstance(point, list) and len(point) >= 2 for point in points):
        raise BoxError("must be a list of points", field="geometry.coordinates")
    ring = [[number(value, field="geometry.coordinates") for value in point[:2]] for point in points]
    if len(ring) > 1 and ring[0] == ring[-1]:
        ring.pop()  # GeoJSON closes outlines; a record's are closed without it
    if len(ring) < 3 or not np.isfinite(ring).all():
        raise BoxError(f"has {len(ring)} points; an outline needs three", field="geometry.coordinates")
    return ring


def _is_on_earth(outline: Outline) -> bool:
    """Whether points may be longitude and latitude; beyond 180 degrees they go on, as east of the date line."""
    return all(abs(x) <= 360 and abs(y) <= 90 for x, y in outline)


def _crs_of(value: object) -> str:
    """The file's reference system: longitude and latitude, or what its ``crs`` names."""
    if value is None:
        return LONGITUDE_LATITUDE
    properties = value.get("properties") if isinstance(value, dict) else None
    if not isinstance(properties, dict):
        raise RecordError(f"must be an object with a name, not {shown(value)}", field="crs")
    return words(properties.get("name"), field="crs.properties.name")


register_source_format(
    SourceFormat(name="geojson", title="GeoJSON: outlines on the earth, with the rasters that they lie in", read=read)
)
