"""Records of two kinds, and an answerer whose answers are known beforehand."""

from mgimm_plugin.errors import SequenceTooLongError

COLORS = {"red": (200, 30, 30), "white": (240, 240, 240), "blue": (30, 60, 200)}


def region_record(index, color, position="top left"):
    attributes = {"category": "ship", "color": color, "size": "small", "position": position}
    return {
        "id": f"r{index}",
        "image": f"{color}.png",
        "regions": [{"bbox": [4, 4, 30, 20], "category": "ship", "attributes": attributes}],
        "conversations": [
            {"from": "human", "value": "<region>\nDescribe the object."},
            {"from": "gpt", "value": f"A small {color} ship at the {position}."},
            {"from": "human", "value": "Anything else?"},
            {"from": "gpt", "value": "No."},
        ],
        "references": [f"There is a small {color} ship, {position}."],
    }


def image_record(index, color):
    return {
        "id": f"i{index}",
        "image": f"{color}.png",
        "regions": [{"bbox": [4, 4, 30, 20]}, {"bbox": [40, 10, 60, 40], "phrase": "a ship"}],
        "conversations": [
            {"from": "human", "value": "<image>\n<region><region>\nDescribe this image."},
            {"from": "gpt", "value": f"Everything is {color}."},
        ],
    }


class Answerer:
    """Says what colour the middle of the picture has; keeps what it was asked."""

    def __init__(self, *, stop_after=None):
        self.asked = []
        self.batches = []
        self.stop_after = stop_after

    def answer(self, questions, *, max_new_tokens, batch_size, num_beams):
        if self.stop_after is not None and len(self.asked) >= self.stop_after:
            raise KeyboardInterrupt
        for question in questions:
            if len(question.text) > 100:
                raise SequenceTooLongError("takes too many tokens", record=question.id)
        self.asked.extend(questions)
        self.batches.append(len(questions))
        return [f" A small {self.color(question.image)} ship at the top left.\n" for question in questions]

    @staticmethod
    def color(image):
        middle = image.getpixel((image.width // 2, image.height // 2))
        return next((name for name, value in COLORS.items() if value == middle), "gray")
