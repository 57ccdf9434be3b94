"""Samples of formats that are about what is said: conversations and captions."""

from __future__ import annotations

from tests.data.prepare.sample_files import Sample, as_json, as_jsonl


def turns(*texts: str) -> list[dict[str, str]]:
    return [{"from": ("human", "gpt")[place % 2], "value": text} for place, text in enumerate(texts)]


MGIMM = Sample(
    {
        "labels/dior-vg.json": as_json(
            {
                "images": [{"id": 1, "file_name": "1.png", "width": 60, "height": 40}],
                "annotations": [{"image_id": 1, "bbox": [10, 5, 20, 15], "caption": "A gray ship"}],
            }
        ),
        "labels/dior-gpg-test.json": as_json(
            [
                {
                    "image_id": "2",
                    "file_name": "2.png",
                    "width": 60,
                    "height": 40,
                    "bbox": [[10, 5, 20, 15]],
                    "conversations": [
                        {"from": "human", "value": "<image>\nDescribe it."},
                        {"from": "gpt", "value": "A ship lies in a harbor."},
                    ],
                }
            ]
        ),
    }
)
VRSBENCH = Sample(
    {
        "labels/P0001_0002.json": b"""{
  "image": "P0001_0002.png",
  "caption": "The image shows a ship.",
  "objects": [
    {"obj_id": 0, "referring_sentence": "The ship on the left.", "obj_cls": "ship", "obj_coord": [0.1, 0.2, 0.5, 1.1],
     "obj_corner": [0.1, 0.2, 0.5, 0.2, 0.5, 1.1, 0.1, 1.1], "is_unique": true, "obj_size": "large"}, // sticks out
    {"obj_id": 1, "referring_sentence": "", "obj_cls": "harbor", "obj_coord": [0, 0, 1, 1]},
  ],
  "qa_pairs": [{"ques_id": 0, "question": "How many ships?", "type": "object quantity", "answer": "1"}]
}"""
    },
    options={"image_size": (512, 512)},
)
LLAVA = Sample(
    {
        "labels/mix.json": as_json(
            [
                {
                    "id": "one",
                    "image": "a.png",
                    "conversations": [
                        {"from": "human", "value": "What is this?\n<image>"},
                        {"from": "gpt", "value": "A harbor."},
                    ],
                    "model": "",
                },
                {
                    "id": "two",
                    "image": "a.png",
                    "width": 60,
                    "height": 40,
                    "regions": [{"bbox": [10, 5, 30, 20], "category": "ship"}],
                    "conversations": [
                        {"from": "human", "value": "<region>\nWhat is this?"},
                        {"from": "gpt", "value": "A ship."},
                    ],
                },
                {
                    "id": "two",
                    "conversations": [{"from": "human", "value": "Hello"}, {"from": "gpt", "value": "Hello."}],
                },
            ]
        )
    },
    images={"a.png": (60, 40)},
)
GEOCHAT = Sample(
    {
        "labels/geochat.json": as_json(
            [
                {
                    "id": "refer",
                    "image": "a.png",
                    "conversations": turns(
                        "<image>\n[refer] Where is <p>the large ship at the left</p> ?",
                        "{<10><20><30><60>|<0>}",
                        "[identify] What is at {<50><25><75><50>|<90>} ?",
                        "A harbor",
                    ),
                },
                {
                    "id": "ground",
                    "image": "a.png",
                    "conversations": turns(
                        "<image>\n[grounding] Describe the image.",
                        "There is <p>a ship</p> {<10><20><30><60>|<0>} near <p>two cars</p> "
                        "{<50><50><60><60>|<5>}<delim>{<70><50><80><60>|<5>} .",
                    ),
                },
            ]
        )
    },
    options={"image_size": (200, 100)},
)
EARTHDIAL = Sample(
    {
        "labels/earthdial.jsonl": as_jsonl(
            {
                "id": 1,
                "image": ["a.png"],
                "conversations": turns(
                    "<image>\\n[identify] What is at <box>[[10, 20, 30, 60, 0]]</box>?", "A ship",
                    "And at <box>[[[50, 25, 75, 50, 90]]]</box>?", "A harbor",
                ),
            },
            {"id": 2, "image": "a.png", "conversations": turns("<image>\nDescribe it.", "A port.")},
        )
    },
    options={"image_size": (200, 100)},
)  # fmt: skip
RSICAP = Sample(
    {
        "labels/captions.json": as_json(
            {
                "annotations": [
                    {"filename": "a.png", "text_input": "Describe it.", "text_output": "A port with two ships."}
                ]
            }
        )
    }
)
RSIEVAL = Sample(
    {
        "labels/annotations.json": as_json(
            [
                {
                    "filename": "a.png",
                    "caption": "A port with two ships.",
                    "qa_pairs": [{"question": "How many ships?", "answer": 2, "type": "quantity"}],
                }
            ]
        )
    }
)
KARPATHY = Sample(
    {
        "labels/dataset_rsicd.json": as_json(
            {
                "dataset": "rsicd",
                "images": [
                    {
                        "filename": "airport_1.jpg",
                        "imgid": 0,
                        "sentids": [0, 1],
                        "split": "train",
                        "sentences": [
                            {"raw": "many planes are parked .", "tokens": ["many", "planes"], "imgid": 0, "sentid": 0},
                            {"tokens": ["an", "airport"], "imgid": 0, "sentid": 1},
                        ],
                    },
                    {"filename": "bridge_1.jpg", "imgid": 1, "split": "test", "sentences": [{"raw": "a bridge"}]},
                ],
            }
        )
    }
)
GEOPIXELD = Sample(
    {
        "labels/GeoPixelD.json": as_json(
            [
                {
                    "id": 0,
                    "image": "data/train/P1.png",
                    "conversations": [
                        {"from": "human", "value": "<image>Describe it, with masks."},
                        {"from": "bot", "value": "The <p> court-1 </p> [SEG] is beside <p> court-2 </p> [SEG] ."},
                    ],
                    "polygons": "data/train/P1.json",
                }
            ]
        ),
        "labels/train/P1.json": as_json(
            {
                "id": 0,
                "img": "data/train/P1.png",
                "gcg_description": "The <p> court-1 </p> [SEG] is beside <p> court-2 </p> [SEG] .",
                "polygons": [
                    [[[10, 5], [30, 5], [30, 20], [10, 20]]],
                    [[[40, 5], [45, 5], [45, 9]], [[50, 30], [55, 30], [55, 35]]],
                ],
            }
        ),
    },
    images={"P1.png": (60, 40)},
)
