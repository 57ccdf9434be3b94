import csv
from dataclasses import replace

import pytest

from mgimm_plugin.data.prepare.source import Source, get_source_format
from mgimm_plugin.errors import SettingError
from tests.data.prepare.sample_files import as_json, as_jsonl
from tests.data.prepare.samples import boxes, read
from tests.data.prepare.samples_of_boxes import TABLE


def table(folder, content, name="a.csv", **options):
    source = replace(TABLE, options=options).write(folder, {f"labels/{name}": content})
    return list(get_source_format("table").read(source)), source.losses


def test_the_usual_columns_are_found_and_rows_of_an_image_go_together(tmp_path):
    (first, second), losses = read("table", tmp_path)
    assert boxes(first) == [("Tree", (10, 5, 30, 20)), ("Tree", (1, 1, 9, 9))]
    assert first.objects[0].extra == {"score": "0.5"}
    assert (first.captions, first.split) == (("Trees.", "Two trees."), "train")
    assert boxes(second) == [("Dead", (2, 2, 4, 4))]
    assert not losses.dropped


@pytest.mark.parametrize(
    ("frame", "box", "expected"),
    [
        ("xyxy", "[10, 5, 30, 20]", (10, 5, 30, 20)),
        ("voc", "11 6 30 20", (10, 5, 30, 20)),
        ("xywh", "(10;5;20;15)", (10, 5, 30, 20)),
        ("yolo", "0.5,0.5,0.5,0.25", (50, 75, 150, 125)),
        ("fractions", "0.1,0.5,0.2,1", (20, 100, 40, 200)),
    ],
)
def test_boxes_of_any_frame(tmp_path, frame, box, expected):
    content = f'file\twhere\twhat\na.png\t"{box}"\tship\n'
    columns = {"image": "file", "bbox": "where", "category": "what", "frame": frame}
    ((image,), losses) = table(tmp_path, content.encode(), columns=columns, image_size=(200, 200))
    assert boxes(image) == [("ship", expected)]
    assert not losses.dropped


def test_a_column_that_the_user_gives_to_one_thing_is_not_another_as_well(tmp_path):
    content = b"image,x,y,width,height,label\na.png,10,5,20,15,ship\na.png,1,1,8,8,ship\n"
    columns = {"x1": "x", "y1": "y", "x2": "width", "y2": "height", "frame": "xywh"}
    ((image,), losses) = table(tmp_path, content, columns=columns)
    assert boxes(image) == [("ship", (10, 5, 30, 20)), ("ship", (1, 1, 9, 9))]
    assert (image.width, image.height) == (None, None)
    assert not losses.dropped


def test_a_number_of_a_class_that_is_called_ID_is_no_name_of_an_object(tmp_path):
    content = b"ID,Image,X1,Y1,X2,Y2,Label\n7,a.png,10,5,30,20,ship\n7,a.png,1,1,9,9,ship\n"
    ((image,), losses) = table(tmp_path, content)
    assert boxes(image) == [("ship", (10, 5, 30, 20)), ("ship", (1, 1, 9, 9))]
    assert [item.extra for item in image.objects] == [{"ID": "7"}] * 2
    assert not losses.dropped


@pytest.mark.parametrize("comma", [", ", " ,", " ; "])
def test_spaces_around_the_commas_are_none_of_the_columns_names(tmp_path, comma):
    rows = ["image", "caption", "x1", "y1", "x2", "y2", "label"], ["a.png", "One.", "10", "5", "30", "20", "ship"]
    ((image,), losses) = table(tmp_path, "\n".join(map(comma.join, rows)).encode())
    assert (boxes(image), image.captions) == ([("ship", (10, 5, 30, 20))], ("One.",))
    assert not losses.dropped


@pytest.mark.parametrize("inputs", [("labels",), ("labels/a.json",)])
def test_a_list_of_objects_in_json_is_a_table(tmp_path, inputs):
    rows = [{"image": "a.png", "bbox": [10, 5, 30, 20], "label": "ship"}, 7, {"image": "a.png", "caption": "One, two."}]
    source = replace(TABLE, inputs=inputs).write(tmp_path, {"labels/a.json": as_json(rows)})
    (image,) = get_source_format("table").read(source)
    assert (boxes(image), image.captions) == ([("ship", (10, 5, 30, 20))], ("One, two.",))
    assert [(error.index, error.message) for error in source.losses.dropped] == [(1, "must be an object, not 7")]


def test_the_frame_may_be_a_column(tmp_path):
    rows = as_jsonl(
        {"image": "a.png", "box": [11, 6, 30, 20], "frame": "voc", "id": 1, "phrase": "A ship", "split": "val"},
        {"image": "a.png", "box": [10, 5, 20, 15], "frame": "xywh", "id": 2, "label": 3},
        {"image": "a.png", "box": [10, 5, 20, 15], "frame": "polar", "id": 3},
        {"image": "a.png", "box": [10, 5, 20, 15], "id": 1},
    )
    ((image,), losses) = table(tmp_path, rows, "a.jsonl")
    first, second = image.objects
    assert (first.bbox, first.phrase, first.split, first.source_id) == ((10, 5, 30, 20), "A ship", "val", "1")
    assert (second.bbox, second.category) == ((10, 5, 30, 20), "3")
    assert [(error.index, error.field) for error in losses.dropped] == [(2, "frame"), (3, "id")]


def test_a_bad_row_costs_that_row(tmp_path):
    content = b"image,x1,y1,x2,y2,label\na.png,1,2,x,4,ship\na.png,1,2,3,4,ship,more\n,1,2,3,4,ship\na.png,9,2,3,4,s\n"
    ((image,), losses) = table(tmp_path, content)
    assert boxes(image) == [("ship", (1, 2, 3, 4))]
    assert [error.index for error in losses.dropped] == [0, 2, 3]


def test_a_column_that_is_not_there_is_named(tmp_path):
    _, losses = table(tmp_path, b"image,label\na.png,ship\n", columns={"phrase": "expression"})
    assert "has no column 'expression'; there are 'image', 'label'" in str(losses.dropped[0])
    with pytest.raises(SettingError, match="--column colour="):
        table(tmp_path, b"image,label\n", columns={"colour": "label"})


def test_an_image_is_of_the_split_of_its_objects_where_they_are_of_one(tmp_path):
    rows = ["image,bbox,category,split"]
    rows += [f"{name}.png,0 {place} 9 {place + 5},ship,{split}" for name, place, split in (
        ("a", 0, "train"), ("a", 6, "train"), ("b", 0, "train"), ("b", 6, "test"), ("c", 0, ""),
    )]  # fmt: skip
    images, losses = table(tmp_path, "\n".join(rows).encode())
    assert [(image.file_name, image.split) for image in images] == [
        ("a.png", "train"),
        ("b.png", None),
        ("c.png", None),
    ]
    assert not losses.dropped


def test_a_bad_text_costs_itself_and_so_does_a_bad_box(tmp_path):
    rows = as_jsonl(
        {"image": "a.png", "bbox": [0, 0, 9, 9], "category": "ship", "caption": 5},
        {"image": "a.png", "bbox": [9, 0, 0, 9], "category": "ship", "captions": ["One.", " ", "Two.", None]},
        {"image": "a.png", "bbox": [1, 0, 9, 9], "category": "ship", "captions": []},
        {"image": "a.png", "width": 5.5, "height": 4, "description": "Three."},
    )
    ((image,), losses) = table(tmp_path, rows, name="a.jsonl")
    assert boxes(image) == [("ship", (0, 0, 9, 9)), ("ship", (1, 0, 9, 9))]
    assert (image.captions, image.descriptions) == (("One.", "Two."), ("Three.",))
    assert [(error.index, error.field) for error in losses.dropped] == [
        (0, "caption"), (1, "caption[1]"), (1, "caption[3]"), (1, "bbox"), (3, "width"),
    ]  # fmt: skip


def test_category_and_phrase_of_a_whole_image_are_kept_and_what_disagrees_is_counted(tmp_path):
    content = b"image,label,phrase,caption\na.png,port,A port,One.\na.png,port,A bay,Two.\n"
    ((image,), losses) = table(tmp_path, content)
    assert (image.captions, image.extra) == (("One.", "Two."), {"label": "port", "phrase": "A port"})
    assert losses.changed == {"value of a row about the whole image left out: an earlier row says another": 1}


def test_captions_of_an_image_whose_rows_are_of_several_splits_are_in_none(tmp_path):
    rows = as_jsonl(
        {"image": "a.png", "caption": "One.", "split": "train"},
        {"image": "b.png", "caption": "Two.", "split": "train"},
        {"image": "b.png", "caption": "Three.", "split": "test"},
        {"image": "c.png", "caption": "Four.", "split": "train"},
        {"image": "c.png", "bbox": [0, 0, 9, 9], "category": "ship", "split": "test"},
    )
    images, losses = table(tmp_path, rows, "a.jsonl")
    assert [image.split for image in images] == ["train", None, None]
    assert images[2].objects[0].split == "test"
    assert "several splits: 2, the first b.png." in losses.notes[0]


def test_a_long_cell_ends_nothing_and_other_readers_keep_their_limit(tmp_path):
    limit = csv.field_size_limit()
    long = "long " * 40_000
    ((image,), losses) = table(tmp_path, f"image,caption\na.png,One.\na.png,{long}\na.png,Three.\n".encode())
    assert image.captions == ("One.", long.strip(), "Three.")
    assert (losses.dropped, csv.field_size_limit()) == ([], limit)


def test_a_quote_that_is_never_closed_is_told_and_not_taken_for_a_text(tmp_path):
    content = b'\nimage,caption\na.png,"One,\ntwo."\na.png,"Three.\na.png,Four.\na.png,Five.\n'
    ((image,), losses) = table(tmp_path, content)
    assert image.captions == ("One,\ntwo.",)
    (error,) = losses.dropped
    assert error.message == "line 5 opens a quote that is never closed; from there on nothing was read"


@pytest.mark.parametrize("last", [b'"One."', b'"One."\r\n', b'"One."\n\n'])
def test_a_closed_quote_may_end_a_file(tmp_path, last):
    ((image,), losses) = table(tmp_path, b"image,caption\na.png," + last)
    assert (image.captions, losses.dropped) == (("One.",), [])


@pytest.mark.parametrize("head", ["\n \r\n", "sep=;\r\n", '"sep=;"\n\n', "\nSEP=;\n"])
def test_blank_lines_and_the_delimiter_for_excel_may_come_first(tmp_path, head):
    ((image,), losses) = table(tmp_path, f"{head}image;caption, in words;caption\na.png;none, none;One.\n".encode())
    assert (image.captions, image.extra) == (("One.",), {"caption, in words": "none, none"})
    assert not losses.dropped


def test_usual_names_are_found_whatever_their_case(tmp_path):
    ((image,), losses) = table(tmp_path, b"Filename,XMin,YMin,XMax,YMax,Class,class\na.png,1,2,3,4,other,ship\n")
    assert boxes(image) == [("ship", (1, 2, 3, 4))]
    assert not losses.dropped


@pytest.mark.parametrize(
    ("name", "content"),
    [("s.csv", b"ImageID,Label\na,ship\nb,ship\n"), ("s.json", as_json([{"ImageID": "a"}, {"Label": "ship"}]))],
)
def test_a_table_in_which_nothing_names_the_image_is_told_once_with_its_columns(tmp_path, name, content):
    images, losses = table(tmp_path, content, name)
    assert images == []
    (error,) = losses.dropped
    assert (error.file.name, error.field) == (name, "image")
    assert error.message.endswith("there are 'ImageID', 'Label': say which it is with --column image=...")
    _, losses = table(tmp_path, content, name, columns={"image": "Image"})
    assert [error.message for error in losses.dropped] == ["has no column 'Image'; there are 'ImageID', 'Label'"]


def test_a_row_without_the_column_of_images_costs_that_row(tmp_path):
    rows = as_jsonl({"caption": "One."}, {"image": "a.png", "caption": "Two."})
    ((image,), losses) = table(tmp_path, rows, "a.jsonl")
    assert image.captions == ("Two.",)
    assert [(error.index, error.field, error.message) for error in losses.dropped] == [(0, "image", "is missing")]


def test_a_frame_that_there_is_not_is_bad_usage(tmp_path):
    (tmp_path / "boxes.csv").write_text('image,bbox,category\na.png,"10,10,50,60",ship\n')
    with pytest.raises(SettingError, match=r"frame=coco is neither a column of boxes\.csv nor a frame: xyxy"):
        list(get_source_format("table").read(Source(inputs=[tmp_path / "boxes.csv"], columns={"frame": "coco"})))
