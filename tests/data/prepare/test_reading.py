import math
import os
from pathlib import Path

import pytest

from mgimm_plugin.data.prepare.reading import files_in, load_json, parse_xml, read_text
from mgimm_plugin.data.prepare.values import checked_box, checked_points, checked_size, number, sentence, whole, words
from mgimm_plugin.errors import BoxError, RecordError
from mgimm_plugin.geometry import voc_to_xyxy, xywh_to_xyxy


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_text_is_read_as_utf8_or_by_its_byte_order_mark(tmp_path: Path, encoding):
    path = tmp_path / "a.txt"
    path.write_bytes("Häfen 港".encode(encoding))
    assert read_text(path) == "Häfen 港"


def test_another_encoding_is_refused_by_name(tmp_path: Path):
    path = tmp_path / "a.txt"
    path.write_bytes("港口".encode("gbk"))
    with pytest.raises(RecordError, match=r"a\.txt: is not UTF-8"):
        read_text(path)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('{"a": 1,\n"b": }', "line 2 is not valid JSON"),
        ("", "line 1 is not valid JSON"),
        ("[" * 100_000, "nested too deep"),
        ("[" + "9" * 5000 + "]", "not valid JSON"),
    ],
)
def test_bad_json_is_a_record_error(tmp_path: Path, content, message):
    path = tmp_path / "a.json"
    path.write_text(content)
    with pytest.raises(RecordError, match=message):
        load_json(path)


def test_comments_and_last_commas_are_taken_only_where_asked_for(tmp_path: Path):
    path = tmp_path / "a.json"
    path.write_text('{"url": "http://x, ]", // what it is\n "n": [1, 2, /* none */ ],}')
    assert load_json(path, tolerant=True) == {"url": "http://x, ]", "n": [1, 2]}
    with pytest.raises(RecordError, match="line 1"):
        load_json(path)


def test_xml_is_read_in_the_encoding_it_declares(tmp_path: Path):
    path = tmp_path / "a.xml"
    path.write_bytes('<?xml version="1.0" encoding="gb2312"?><name>飞机</name>'.encode("gb2312"))
    assert parse_xml(path).text == "飞机"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b'<!DOCTYPE a [<!ENTITY b "boom"><!ENTITY c "&b;&b;&b;">]><a>&c;</a>', "declares entities"),
        ('<!DOCTYPE a [<!ENTITY b "boom">]><a>&b;</a>'.encode("utf-16"), "declares entities"),
        (b'<!DOCTYPE a SYSTEM "file:///etc/hostname"><a>&b;</a>', "not valid XML"),
        (b"<a><b></a>", "line 1 is not valid XML"),
        (b"", "line 1 is not valid XML"),
        (b"<a>\x00</a>", "not valid XML"),
        (b"<a>\xff</a>", "is not UTF-8"),
        (b'<?xml version="1.0" encoding="zip"?><a/>', "is not ZIP"),
    ],
)
def test_bad_xml_is_a_record_error(tmp_path: Path, content, message):
    path = tmp_path / "a.xml"
    path.write_bytes(content)
    with pytest.raises(RecordError, match=message):
        parse_xml(path)


def test_files_are_those_given_and_those_in_folders_sorted(tmp_path: Path):
    for name in ("b/2.xml", "b/1.XML", "b/c/0.xml", "b/.hidden.xml", "b/.tmp/3.xml", "b/note.md", "odd.name"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    found = files_in([tmp_path / "odd.name", tmp_path / "b"], {".xml"})
    assert [path.relative_to(tmp_path).as_posix() for path in found] == ["odd.name", "b/1.XML", "b/2.xml", "b/c/0.xml"]


def test_linked_folders_are_gone_into_once_and_by_their_own_name_first(tmp_path: Path):
    for name in ("set/train/1.xml", "elsewhere/2.xml"):
        (tmp_path / name).parent.mkdir(parents=True)
        (tmp_path / name).touch()
    links = {"val": "../elsewhere", "also": "train", "train/all": "..", ".old": "../elsewhere"}
    for name, target in links.items():
        (tmp_path / "set" / name).symlink_to(target)
    found = files_in([tmp_path / "set"], {".xml"})
    assert [path.relative_to(tmp_path).as_posix() for path in found] == ["set/train/1.xml", "set/val/2.xml"]


def test_a_folder_that_cannot_be_listed_is_an_error(tmp_path: Path, monkeypatch):
    (tmp_path / "locked").mkdir()
    (tmp_path / "1.xml").touch()
    listed = os.scandir

    def scandir(place):
        if Path(place).name == "locked":  # as for a user without the right to; root has it
            raise PermissionError(13, "Permission denied", str(place))
        return listed(place)

    monkeypatch.setattr(os, "scandir", scandir)
    with pytest.raises(RecordError, match=r"locked: cannot be listed: Permission denied"):
        files_in([tmp_path], {".xml"})


def test_an_input_may_lie_in_a_hidden_folder(tmp_path: Path):
    folder = tmp_path / ".cache" / "set"
    folder.mkdir(parents=True)
    (folder / "1.xml").touch()
    assert files_in([folder], {".xml"}) == [folder / "1.xml"]


def test_inputs_without_a_file_are_an_error(tmp_path: Path):
    with pytest.raises(RecordError, match="does not exist"):
        files_in([tmp_path / "nowhere"], {".xml"})
    with pytest.raises(RecordError, match=r"no file that ends in \.xml"):
        files_in([tmp_path], {".xml"})


def test_numbers_may_be_written_as_texts():
    assert (number(2), number(" 2.5 "), number("1e3"), whole("3.0")) == (2.0, 2.5, 1000.0, 3)


@pytest.mark.parametrize("value", [True, None, "", "two", math.nan, "inf", 10**400, [1], {}])
def test_what_is_no_finite_number_is_refused(value):
    with pytest.raises(RecordError, match="field xmin"):
        number(value, field="xmin")


def test_a_fraction_is_not_whole():
    with pytest.raises(RecordError, match="whole number"):
        whole(2.5)


@pytest.mark.parametrize("value", [None, "", "  ", 3, "\ud800", "a\0b"])
def test_texts_that_cannot_be_written_are_refused(value):
    with pytest.raises(RecordError, match="field caption"):
        words(value, field="caption")


def test_tokens_of_a_source_are_plain_words():
    assert sentence(" The <image> of a <region>. ") == "The image of a region."


def test_a_box_is_converted_from_its_frame():
    assert checked_box(["133", 237, 684, 672], voc_to_xyxy) == (132, 236, 684, 672)
    assert checked_box([7, 7, 7, 7], voc_to_xyxy) == (6, 6, 7, 7)
    assert checked_box([-5, 10, 20, 30.5], xywh_to_xyxy) == (-5, 10, 15, 40.5)


def test_noise_of_the_conversion_is_rounded_away():
    assert checked_box([10.1, 0.1, 20.2, 0.2], xywh_to_xyxy) == (10.1, 0.1, 30.3, 0.3)
    assert checked_points([[0.1 + 0.2, 1 / 3], [1, 2], [3, 4]]) == ((0.3, 0.3333), (1, 2), (3, 4))


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ([1, 2, 3], "four numbers"),
        ("1 2 3 4", "four numbers"),
        ([1, 2, math.nan, 4], "finite"),
        ([1, 2, "x", 4], "number"),
        ([5, 1, 2, 4], "reversed"),
        ([5, 1, 5, 4], "encloses nothing"),
        ([5, 1, 5 + 1e-9, 4], "encloses nothing"),
        ([0, 0, 1e300, 4], "outside any image"),
    ],
)
def test_a_bad_box_is_a_box_error_that_says_where(values, message):
    with pytest.raises(BoxError, match=rf"file a, index 2, record 7, field bbox: .*{message}"):
        checked_box(values, file="a", index=2, record=7, field="bbox")


def test_an_outline_needs_three_points_of_numbers():
    assert checked_points([[1, 2], ["3", 4.5, 99], (5, 6)]) == ((1, 2), (3, 4.5), (5, 6))
    for bad in ([[1, 2], [3, 4]], [[1], [2], [3]], [[1, 2], [3, 4], [5, None]], "abc", [1, 2, 3]):
        with pytest.raises(BoxError):
            checked_points(bad)


def test_a_size_is_two_positive_whole_numbers():
    assert checked_size("800", 600) == (800, 600)
    for bad in ((0, 5), (5, -1), (None, 5), (1.5, 5), (5, 1e12)):
        with pytest.raises(RecordError):
            checked_size(*bad)
