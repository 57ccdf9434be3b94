"""``mgimm validate``, ``stats`` and ``preview``: what they print, write and return."""

import json
import os
from pathlib import Path

import pytest
from PIL import Image

from mgimm_plugin.commands import preview, stats, validate
from mgimm_plugin.errors import MgimmError, RecordError
from tests.data.inspect.samples import image_record, region_record, save_image, write_lines


@pytest.fixture
def data(tmp_path):
    save_image(tmp_path / "a.png")
    return write_lines(tmp_path / "data.jsonl", [image_record(), region_record(), region_record("r1")])


@pytest.fixture
def bad(tmp_path):
    boxes = [{"bbox": [9, 9, 1, 1]}, {"bbox": [0, 0, 1]}, {"bbox": [-5, 0, 9, 9]}]
    records = [image_record("é", regions=boxes), "no json", region_record("clip", regions=[{"bbox": [-5, 0, 9, 9]}])]
    return write_lines(tmp_path / "bad.jsonl", records)


def test_a_good_file_ends_with_0_and_a_bad_one_with_1(data, bad, capsys):
    assert validate.run([data], images=data.parent) == 0
    assert validate.run([data, bad]) == 1
    assert validate.run([bad, data]) == 1
    printed = capsys.readouterr()
    assert f"{data}: 0 problems; good records: 1 image-instruction, 2 region-instruction" in printed.err
    assert f"{bad}: 4 problems in 2 of 3 records; good records: 1 region-instruction" in printed.err
    assert f"{bad}: note: 1 box sticks out of the image" in printed.err
    assert len(printed.out.splitlines()) == 8


def test_problems_as_json(bad, capsys):
    assert validate.run([bad], as_json=True) == 1
    problems = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [problem["field"] for problem in problems] == ["regions[0].bbox", "regions[1].bbox", "regions", None]
    assert problems[0] == {
        "file": str(bad),
        "index": 0,
        "line": 1,
        "id": "é",
        "field": "regions[0].bbox",
        "message": problems[0]["message"],
    }


def test_a_file_without_records_is_not_good(tmp_path, capsys):
    (tmp_path / "empty.jsonl").write_text("\n\n")
    assert validate.run([tmp_path / "empty.jsonl"]) == 1
    assert "good records: none" in capsys.readouterr().err


@pytest.mark.parametrize(
    "command",
    [validate.run, stats.run, lambda files: preview.run(files, files[0].parent / "sheet")],
    ids=["validate", "stats", "preview"],
)
def test_a_file_that_is_not_there_is_named(tmp_path, command):
    with pytest.raises(RecordError, match=r"gone\.jsonl: cannot be read"):
        command([tmp_path / "gone.jsonl"])


@pytest.mark.parametrize("layout", [json.dumps, lambda records: "\n\n" + "\n".join(map(json.dumps, records))])
def test_a_pipe_is_read_from_its_first_record_to_its_last(tmp_path, layout, capsys):
    def pipe():
        output, put = os.pipe()
        os.write(put, layout([region_record("r0"), region_record("r1")]).encode())
        os.close(put)
        outputs.append(output)
        return Path(f"/dev/fd/{output}")

    outputs = []
    save_image(tmp_path / "a.png")
    try:
        assert validate.run([pipe()]) == 0
        assert "good records: 2 region-instruction" in capsys.readouterr().err
        stats.run([pipe()])
        assert "2 region-instruction" in capsys.readouterr().out
        preview.run([pipe()], tmp_path / "sheet", images=tmp_path)
        assert "the first 2 records, of 1 image" in (tmp_path / "sheet" / "index.html").read_text()
    finally:
        for output in outputs:
            os.close(output)


@pytest.mark.parametrize(
    "command",
    [
        lambda file, images: validate.run([file], images=images),
        lambda file, images: preview.run([file], file.parent / "sheet", images=images),
    ],
    ids=["validate", "preview"],
)
def test_an_image_folder_that_is_not_there_is_said_once(data, command, capsys):
    with pytest.raises(MgimmError, match=r"image folder .*nosuch does not exist"):
        command(data, data.parent / "nosuch")
    with pytest.raises(MgimmError, match=r"image folder .*data\.jsonl is a file"):
        command(data, data)
    assert capsys.readouterr().out == ""
    assert not (data.parent / "sheet").exists()


def test_a_folder_without_one_image_of_the_records_is_said_once(data, bad, tmp_path, capsys):
    wrong = tmp_path / "wrong"
    wrong.mkdir()
    assert validate.run([data], images=wrong) == 1
    printed = capsys.readouterr()
    told = f"none of the images that 3 records name is in {wrong}; is it {tmp_path}?"
    assert printed.out == f"file {data}, field image: {told}\n"
    assert f"{data}: 1 problem in 3 of 3 records; good records: none" in printed.err
    assert validate.run([data], images=wrong, as_json=True) == 1
    problem = json.loads(capsys.readouterr().out)
    nowhere = {"index": None, "line": None, "id": None}
    assert problem == {"file": str(data), "field": "image", "message": told, **nowhere}
    save_image(wrong / "inner" / "a.png")
    assert validate.run([data], images=wrong) == 1
    assert capsys.readouterr().out.endswith(f"is it {wrong / 'inner'}?\n")
    # What else is wrong is told as well.
    assert validate.run([bad], images=wrong) == 1
    printed = capsys.readouterr()
    assert len(printed.out.splitlines()) == 5
    assert "5 problems in 3 of 3 records; good records: none" in printed.err


def test_one_image_that_is_there_makes_the_others_missing_ones(data, tmp_path, capsys):
    path = write_lines(
        tmp_path / "more.jsonl", [*(region_record(f"r{i}", image="b.png") for i in range(3)), image_record()]
    )
    assert validate.run([path], images=tmp_path) == 1
    assert capsys.readouterr().out.count("b.png does not exist") == 3


@pytest.mark.parametrize("lines", [[], ["no json", "3"]], ids=["empty", "bad"])
@pytest.mark.parametrize("as_json", [False, True])
def test_a_file_without_a_good_record_has_no_statistics(tmp_path, lines, as_json, capsys):
    path = write_lines(tmp_path / "data.jsonl", lines)
    with pytest.raises(MgimmError, match="mgimm validate says why"):
        stats.run([path], as_json=as_json, output=tmp_path / "stats")
    assert capsys.readouterr().out == ""
    assert not (tmp_path / "stats").exists()


def test_statistics_as_table_json_and_plots(data, capsys, tmp_path):
    stats.run([data], output=tmp_path / "new" / "stats")
    table = capsys.readouterr().out
    assert "1 image-instruction, 2 region-instruction" in table
    assert "harbor" in table
    stats.run([data], as_json=True)
    printed = json.loads(capsys.readouterr().out)
    assert printed == json.loads((tmp_path / "new" / "stats" / "stats.json").read_text())
    assert printed["objects"]["distinct"] == 2
    page = Image.open(tmp_path / "new" / "stats" / "stats.png")
    assert page.format == "PNG"
    assert page.width > page.height


def test_the_same_file_gives_the_same_bytes(data, tmp_path):
    def written(folder):
        stats.run([data], output=folder)
        preview.run([data], folder, seed=1)
        return {path.name: path.read_bytes() for path in folder.iterdir()}

    first = written(tmp_path / "one")
    assert sorted(first) == ["index.html", "sheet.png", "stats.json", "stats.png"]
    assert written(tmp_path / "two") == first


def test_a_preview_tells_what_it_shows(data, bad, tmp_path, capsys):
    preview.run([data, bad], tmp_path / "sheet", count=9, images=tmp_path)
    page = (tmp_path / "sheet" / "index.html").read_text()
    assert "the first 4 records, of 1 image; 2 bad records passed over" in page
    preview.run([data, bad], tmp_path / "sheet", count=9, images=tmp_path, seed=1)
    page = (tmp_path / "sheet" / "index.html").read_text()
    assert "4 records chosen by seed 1, of 1 image; at least 2 bad records passed over" in page
    assert str(tmp_path / "sheet" / "index.html") in capsys.readouterr().err


def test_a_preview_tells_what_it_could_not_show(data, bad, tmp_path, capsys):
    wrong = tmp_path / "wrong"
    wrong.mkdir()
    more = write_lines(tmp_path / "more.jsonl", [region_record("b", image="b.png")])
    preview.run([more, bad, data], tmp_path / "sheet", images=wrong)
    told = capsys.readouterr().err.splitlines()[1:]
    assert told == [
        f"none of 2 images is in {wrong}; --images is the folder where their names start",
        "2 bad records passed over; mgimm validate says why",
    ]
    preview.run([data], tmp_path / "sheet", images=wrong)
    assert capsys.readouterr().err.splitlines()[1:] == [f"none of 1 image is in {wrong}; is it {tmp_path}?"]
    preview.run([data, more], tmp_path / "sheet", seed=1)
    told = capsys.readouterr().err.splitlines()[1:]
    assert told == [f"1 of 2 images cannot be shown: image {tmp_path / 'b.png'} does not exist"]
    preview.run([data], tmp_path / "sheet")
    assert len(capsys.readouterr().err.splitlines()) == 1


def test_a_file_without_a_good_record_has_no_preview(tmp_path):
    path = write_lines(tmp_path / "data.jsonl", ["no json", "3"])
    with pytest.raises(MgimmError, match="mgimm validate says why"):
        preview.run([path], tmp_path / "sheet")
    assert not (tmp_path / "sheet").exists()


def test_the_bundled_examples_have_no_problem(capsys):
    from mgimm_plugin.resources import playground_folder

    examples = playground_folder() / "examples"
    assert validate.run([examples / "examples.jsonl"], images=examples) == 0
    assert "56 region-instruction" in capsys.readouterr().err
