"""Records about the images 0.png to 5.png, and what a small model makes of them."""

SIDE = 28
TOKENS_PER_IMAGE = 4


def conversation(question, answer="A ship."):
    return [{"from": "human", "value": question}, {"from": "gpt", "value": answer}]


def region_record(index, boxes=((0, 0, 20, 20),)):
    return {
        "id": f"region{index}",
        "image": f"{index}.png",
        "width": 40,
        "height": 20,
        "regions": [{"bbox": list(box)} for box in boxes],
        "conversations": conversation("<region>" * len(boxes) + "\nWhat is it?", f"Ship number {index}."),
    }


def image_record(index, regions=3):
    boxes = [[i, 0, i + 10, 10] for i in range(regions)]
    return {
        "id": f"image{index}",
        "image": f"{index}.png",
        "regions": [{"bbox": box} for box in boxes],
        "conversations": conversation("<image>\n" + "<region>" * regions + "\nDescribe it."),
    }


def text_record(index):
    return {"id": f"text{index}", "conversations": conversation("Hello", "Hi")}
