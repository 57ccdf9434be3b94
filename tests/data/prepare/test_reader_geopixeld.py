from tests.data.prepare.sample_files import as_json
from tests.data.prepare.samples import boxes, read
from tests.data.prepare.samples_of_texts import GEOPIXELD


def test_phrases_are_linked_to_outlines_and_the_text_has_no_markers(tmp_path):
    ((image,), losses) = read("geopixeld", tmp_path)
    assert (image.source_id, image.file_name) == ("0", "P1.png")
    assert image.descriptions == ("The court-1 is beside court-2.",)
    assert boxes(image) == [("court", (10, 5, 30, 20)), ("court", (40, 5, 55, 35))]
    first, second = image.objects
    assert first.polygon == ((10, 5), (30, 5), (30, 20), (10, 20))
    assert first.extra == {"mention": "court-1"}
    assert second.polygon is None
    assert second.extra["parts"] == [[[40, 5], [45, 5], [45, 9]], [[50, 30], [55, 30], [55, 35]]]
    assert not losses.dropped


def test_a_file_of_one_image_needs_no_list(tmp_path):
    name = "labels/train/P1.json"
    ((image,), losses) = read("geopixeld", tmp_path, {name: GEOPIXELD.files[name]})
    assert image.descriptions == ("The court-1 is beside court-2.",)
    assert len(image.objects) == 2
    assert not losses.dropped


def test_a_bad_outline_costs_the_object_and_a_text_without_its_outlines_the_image(tmp_path):
    entry = {"id": 3, "img": "a.png", "gcg_description": "A <p>ship</p>[SEG] and <p> port </p> [SEG]."}
    outline = [[[1, 1], [9, 1], [9, 9]]]
    bad = [[[1, 1], [1, 1], [1, 1]]]
    files = {
        "labels/a.json": as_json({**entry, "polygons": [outline, bad]}),
        "labels/b.json": as_json({**entry, "id": 4, "polygons": [outline]}),
        "labels/c.json": as_json({**entry, "id": 5, "gcg_description": "A [SEG].", "polygons": []}),
        "labels/d.json": as_json({**entry, "id": 6, "polygons": "elsewhere/d.json"}),
        "labels/e.json": as_json({**entry, "id": 7, "polygons": "d" * 300}),
    }
    ((image,), losses) = read("geopixeld", tmp_path, files)
    assert boxes(image) == [("ship", (1, 1, 9, 9))]
    assert image.descriptions == ("A ship and port.",)
    assert [error.field for error in losses.dropped] == [
        "polygons[1]",
        "polygons",
        "gcg_description",
        "polygons",
        "polygons",
    ]
    assert "refers to 2 outlines, and there are 1" in str(losses.dropped[1])
