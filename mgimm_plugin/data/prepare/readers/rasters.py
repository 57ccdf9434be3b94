"""Georeferenced rasters: where their pixels are on the earth. Needs rasterio."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from mgimm_plugin.errors import BoxError, ImageError, MissingExtraError, RecordError
from mgimm_plugin.geometry import map_to_pixels

SUFFIXES: Final = frozenset({".tif", ".tiff", ".vrt", ".jp2", ".img"})
LONGITUDE_LATITUDE: Final = "OGC:CRS84"
"""What GeoJSON is in where it does not say."""


@dataclass(frozen=True, slots=True)
class Raster:
    """A raster's place on the earth.

    Attributes:
        name: Path relative to the folder it was found in.
        width: Width in pixels.
        height: Height in pixels.
        dtype: Type of its numbers, such as ``uint8``.
        transform: ``a, b, c, d, e, f`` from pixels to the reference system.
        crs: The reference system, as WKT.
    """

    name: str
    width: int
    height: int
    dtype: str
    transform: tuple[float, ...]
    crs: str

    def pixels(self, points: Sequence[Sequence[float]], crs: str) -> NDArray[np.float64]:
        """Convert points of a reference system to pixels.

        Args:
            points: ``[P, 2]`` points, x (or longitude) first.
            crs: Their reference system, in any form that rasterio reads.

        Returns:
            ``[P, 2]`` points in pixels.

        Raises:
            RecordError: The reference system is unknown.
            BoxError: The raster's system does not reach there, or its transform has no inverse.
        """
        return map_to_pixels(_in_system(points, crs, self.crs), self.transform)

    def overlap(self, points_xy: NDArray[np.float64]) -> float:
        """How much of the upright box around points in pixels lies in the raster, in its pixels; 0 for nothing."""
        low = points_xy.min(axis=0).clip(0, None)
        high = points_xy.max(axis=0).clip(None, (self.width, self.height))
        return float((high - low).clip(0, None).prod())


class RasterFinder:
    """Finds the raster that an outline lies in.

    Args:
        rasters: The rasters to look in.
    """

    def __init__(self, rasters: Sequence[Raster]) -> None:
        by_system: dict[str, list[Raster]] = {}
        for raster in rasters:
            by_system.setdefault(raster.crs, []).append(raster)
        self._systems = {crs: _OneSystem(some) for crs, some in by_system.items()}
        self._numbers = {raster.name: number for number, raster in enumerate(rasters)}

    def around(self, points: Sequence[Sequence[float]], crs: str) -> Raster | None:
        """The raster with most of the upright box around an outline, in its pixels; the first of equals, None for none.

        Args:
            points: ``[P, 2]`` points, x (or longitude) first.
            crs: Their reference system, in any form that rasterio reads.

        Raises:
            RecordError: The reference system is unknown.
        """
        found: list[tuple[float, int, Raster]] = []
        for system, rasters in self._systems.items():
            try:
                places = _in_system(points, crs, system)  # the slow part: once for all rasters of a system
            except BoxError:
                continue
            for raster in rasters.near(places):
                area = raster.overlap(map_to_pixels(places, raster.transform))
                found.append((area, -self._numbers[raster.name], raster))
        best = max(found, default=None)
        return best[2] if best and best[0] else None


class _OneSystem:
    """Rasters of one reference system."""

    def __init__(self, rasters: Sequence[Raster]) -> None:
        transforms = np.array([raster.transform for raster in rasters])
        determinants = transforms[:, 0] * transforms[:, 4] - transforms[:, 1] * transforms[:, 3]
        usable = np.isfinite(determinants) & (determinants != 0)
        self._rasters = [raster for raster, is_usable in zip(rasters, usable, strict=True) if is_usable]
        self._transforms = transforms[usable].T[:, :, None]
        self._determinants = determinants[usable][:, None]
        self._sizes = np.array([(raster.width, raster.height) for raster in self._rasters]).reshape(-1, 2)

    def near(self, places: NDArray[np.float64]) -> list[Raster]:
        """The rasters that the outline may lie in: those that the upright box around ``[P, 2]`` places reaches.

        The pixels of the box's corners enclose those of all its points, so that no raster is missed, turned or not.
        """
        a, b, c, d, e, f = self._transforms
        (left, bottom), (right, top) = places.min(axis=0), places.max(axis=0)
        x, y = np.array([left, left, right, right]) - c, np.array([bottom, top, bottom, top]) - f
        pixels = np.stack([e * x - b * y, a * y - d * x], axis=2) / self._determinants[:, :, None]
        reaches = pixels.max(axis=1).clip(None, self._sizes) > pixels.min(axis=1).clip(0, None)
        return [self._rasters[number] for number in np.flatnonzero(reaches.all(axis=1))]


def _in_system(points: Sequence[Sequence[float]], crs: str, target: str) -> NDArray[np.float64]:
    """``[P, 2]`` points of one reference system in another."""
    rasterio = _rasterio()
    xy = np.asarray(points, dtype=np.float64).reshape(-1, 2)
    try:
        x, y = rasterio.warp.transform(_system(crs), _system(target), xy[:, 0], xy[:, 1])
    except _failures() as error:
        raise RecordError(f"reference system {crs[:60]!r} cannot be used: {error}", field="crs") from error
    places = np.stack([x, y], axis=1)
    if not np.isfinite(places).all():
        raise BoxError("lies where the raster's reference system does not reach")
    return places


def open_raster(path: Path, name: str) -> Raster:
    """Read where a raster lies; its pixels are not read.

    Raises:
        ImageError: It cannot be read, or does not say where it lies.
        MissingExtraError: rasterio is not installed.
    """
    rasterio = _rasterio()
    try:
        with warnings.catch_warnings():
            # A raster without a place on the earth: the error below says so.
            warnings.simplefilter("ignore", rasterio.errors.NotGeoreferencedWarning)
            with rasterio.open(path) as file:
                crs = None if file.crs is None else file.crs.to_wkt()
                transform = tuple(float(value) for value in file.transform)[:6]
                width, height = int(file.width), int(file.height)
                dtype = ", ".join(sorted(set(file.dtypes)))
    except _failures() as error:
        raise ImageError(f"cannot be read as a raster: {error}", file=path) from error
    if not crs:
        raise ImageError("has no reference system: it does not say where on the earth it lies", file=path)
    return Raster(name, width, height, dtype, transform, crs)


@lru_cache(maxsize=64)
def _system(crs: str) -> Any:
    rasterio = _rasterio()
    with rasterio.Env():  # without it, PROJ writes what it thinks of an unknown system to standard error
        return rasterio.crs.CRS.from_user_input(crs)


def _rasterio() -> Any:
    try:
        import rasterio
        import rasterio.crs
        import rasterio.errors
        import rasterio.warp
    except ImportError as error:
        raise MissingExtraError("rasterio", "geo", "reading GeoJSON") from error
    return rasterio


def _failures() -> tuple[type[Exception], ...]:
    """What rasterio raises for a bad file; GDAL's own errors are not always turned into rasterio's."""
    from rasterio._err import CPLE_BaseError
    from rasterio.errors import RasterioError

    return RasterioError, CPLE_BaseError, OSError, ValueError, OverflowError
