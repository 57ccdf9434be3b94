"""Images are read as they are stored, and a bad one is an error that names it."""

import pickle
import struct
import zlib

import pytest
import torch
from llava.mm_utils import process_images
from PIL import ExifTags, Image
from PIL.TiffImagePlugin import ImageFileDirectory_v2
from transformers import CLIPImageProcessor

from mgimm_plugin.data.images import decode_image, frame_size_of, image_size, open_image, preprocess_image
from mgimm_plugin.errors import ImageError, ImageTooLargeError, MgimmError


@pytest.fixture
def processor():
    return CLIPImageProcessor(size={"shortest_edge": 32}, crop_size={"height": 32, "width": 32})


@pytest.fixture
def photo():
    return Image.effect_noise((90, 50), 80).convert("RGB")


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "L", "LA", "P", "1", "CMYK"])
def test_eight_bit_images_of_any_mode_become_rgb(tmp_path, mode):
    path = tmp_path / ("a.tif" if mode == "CMYK" else "a.png")
    Image.new(mode, (7, 5)).save(path)
    image = open_image(path)
    assert (image.mode, image.size) == ("RGB", (7, 5))


def test_missing_image_is_named(tmp_path):
    with pytest.raises(ImageError, match=r"gone\.png does not exist"):
        open_image(tmp_path / "gone.png")


def test_truncated_image_is_refused(tmp_path, photo):
    path = tmp_path / "cut.jpg"
    photo.save(path)
    path.write_bytes(path.read_bytes()[:-400])
    with pytest.raises(ImageError, match=r"cut\.jpg cannot be read.*truncated"):
        open_image(path)


def test_a_file_that_is_no_image_is_refused(tmp_path):
    path = tmp_path / "notes.png"
    path.write_text("not an image")
    with pytest.raises(ImageError, match=r"notes\.png is not an image"):
        open_image(path)


def test_a_folder_is_refused(tmp_path):
    with pytest.raises(ImageError, match="cannot be read"):
        open_image(tmp_path)


@pytest.mark.parametrize("mode", ["I;16", "I", "F"])
def test_more_than_eight_bits_are_not_squeezed_in_silence(tmp_path, mode):
    path = tmp_path / "deep.tif"
    Image.new(mode, (7, 5)).save(path)
    with pytest.raises(ImageError, match=r"deep\.tif has pixels of type .*8-bit RGB"):
        open_image(path)


def deep_png(color_type, channels):
    """A PNG of 7x5 pixels whose channels have 16 bits: Pillow writes none in color."""
    rows = b"\0" + b"\x03\xe8" * 7 * channels
    chunks = [
        (b"IHDR", struct.pack(">IIBBBBB", 7, 5, 16, color_type, 0, 0, 0)),
        (b"IDAT", zlib.compress(rows * 5)),
        (b"IEND", b""),
    ]
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data)) for name, data in chunks
    )


def deep_tiff(channels, order):
    """A TIFF of 7x5 pixels whose channels have 16 bits, in color and for more than three channels with filler."""
    pixels = struct.pack(f"{order}{35 * channels}H", *[1000] * 35 * channels)
    header = (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(f"{order}I", 8 + len(pixels))
    tags = ImageFileDirectory_v2(header)
    values = {
        "ImageWidth": 7, "ImageLength": 5, "BitsPerSample": (16,) * channels, "Compression": 1, "StripOffsets": 8,
        "PhotometricInterpretation": 2, "SamplesPerPixel": channels, "RowsPerStrip": 5, "StripByteCounts": len(pixels),
    }  # fmt: skip
    for name, value in values.items():
        tags[ExifTags.Base[name]] = value
    if channels > 3:
        tags[ExifTags.Base.ExtraSamples] = (0,) * (channels - 3)
    return header + pixels + tags.tobytes(len(header + pixels))


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("color.png", deep_png(2, 3)),
        ("gray_alpha.png", deep_png(4, 2)),
        ("color_alpha.png", deep_png(6, 4)),
        ("little_endian.tif", deep_tiff(3, "<")),
        ("big_endian.tif", deep_tiff(3, ">")),
        ("four_channels.tif", deep_tiff(4, "<")),
    ],
)
def test_sixteen_bit_color_is_refused_though_its_mode_says_eight(tmp_path, name, content):
    path = tmp_path / name
    path.write_bytes(content)
    assert Image.open(path).mode in ("RGB", "RGBA")
    message = rf"{name} has pixels of type 16-bit RGB.*, not 8 bits a channel; convert it to 8-bit RGB"
    with pytest.raises(ImageError, match=message):
        open_image(path)
    with pytest.raises(ImageError, match=message):
        decode_image(content, name=name)


def test_the_pixel_limit_refuses_and_can_be_raised(tmp_path, photo):
    path = tmp_path / "large.png"
    photo.save(path)
    with pytest.raises(ImageError, match=r"large\.png has 90x50 pixels, more than the limit of 100;.*max_pixels"):
        open_image(path, max_pixels=100)
    assert open_image(path, max_pixels=4500).size == (90, 50)


@pytest.mark.parametrize("suffix", ["jpg", "png", "tif"])
def test_the_size_of_an_image_is_that_of_the_one_read_whatever_its_orientation(tmp_path, photo, suffix):
    path = tmp_path / f"turned.{suffix}"
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 6
    photo.save(path, exif=exif)
    assert image_size(path) == open_image(path).size


def test_the_size_of_an_image_is_known_without_decoding_it(tmp_path, photo):
    path = tmp_path / "cut.jpg"
    photo.save(path)
    path.write_bytes(path.read_bytes()[:-400])
    assert image_size(path) == (90, 50)
    with pytest.raises(ImageError, match=r"cut\.jpg has 90x50 pixels, more than the limit of 100"):
        image_size(path, max_pixels=100)
    with pytest.raises(ImageError, match=r"gone\.png does not exist"):
        image_size(tmp_path / "gone.png")


@pytest.mark.parametrize("suffix", ["png", "jpg", "tif", "bmp"])
def test_the_limit_can_be_raised_past_that_of_pillow(tmp_path, photo, monkeypatch, suffix):
    path = tmp_path / f"large.{suffix}"
    photo.save(path)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    assert open_image(path, max_pixels=4500).size == (90, 50)


@pytest.mark.parametrize("mode", ["pad", "square", "anyres"])
def test_modes_of_llava_give_llavas_pixels(processor, photo, mode):
    class Config:
        image_aspect_ratio = mode
        image_grid_pinpoints = [[64, 32], [32, 64]]  # noqa: RUF012

    expected = process_images([photo], processor, Config())[0]
    for canvases in (Config.image_grid_pinpoints, str(Config.image_grid_pinpoints), ((64, 32), (32, 64))):
        actual = preprocess_image(photo, processor, mode, grid_pinpoints=canvases)
        assert actual.dtype == torch.float32
        torch.testing.assert_close(actual, expected, rtol=0, atol=0)


def test_three_pixels_wide_is_not_taken_for_three_channels(processor):
    for size in ((3, 40), (40, 3), (1, 40), (3, 3), (1, 1)):
        for mode in ("pad", "resize", "square"):
            assert preprocess_image(Image.new("RGB", size), processor, mode).shape == (3, 32, 32)


@pytest.mark.parametrize("mode", ["pad", "square"])
def test_an_image_whose_canvas_would_be_a_bomb_is_refused(processor, mode):
    with pytest.raises(ImageError, match=f"too elongated for image_aspect_ratio {mode}"):
        preprocess_image(Image.new("RGB", (1, 5000)), processor, mode, max_pixels=100_000)


def test_anyres_without_its_canvases_is_refused(processor, photo):
    with pytest.raises(MgimmError, match="image_grid_pinpoints"):
        preprocess_image(photo, processor, "anyres")


def test_a_processor_without_one_frame_is_refused():
    with pytest.raises(MgimmError, match="one number"):
        frame_size_of(CLIPImageProcessor(size={"shortest_edge": 64}, crop_size={"height": 32, "width": 32}))


def test_an_error_from_a_worker_process_keeps_its_advice_and_says_it_once(processor):
    with pytest.raises(ImageTooLargeError) as caught:
        preprocess_image(Image.new("RGB", (1, 5000)), processor, "pad", max_pixels=100_000)
    error = pickle.loads(pickle.dumps(caught.value.at(record="a")))
    assert str(error) == f"record a: {error.fact}; {error.advice}"
    assert error.message == caught.value.message
