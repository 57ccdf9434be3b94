"""What is compared with what, as data."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from .systems import BLANK, NONE, TRUE


@dataclass(frozen=True)
class Comparison:
    """Two rows asked in certain modes, and the outcomes on which they are compared.

    Attributes:
        first: A system.
        first_mode: What it is asked with.
        second: The system that is taken off.
        second_mode: What that is asked with.
        outcomes: Names of ``outcomes.OUTCOMES``.
        primary: Whether it is in the family of tests that Holm's procedure holds together.
        claim: What it is about.
    """

    first: str
    first_mode: str
    second: str
    second_mode: str
    outcomes: tuple[str, ...]
    primary: bool
    claim: str


REGION_OUTCOMES: Final = ("appearance_accuracy",)
IMAGE_OUTCOMES: Final = ("CIDEr", "hallucination_rate")
PRIMARY_OUTCOMES: Final = REGION_OUTCOMES + IMAGE_OUTCOMES


def _shown_boxes(first: str, second: str, claim: str, primary: bool = False) -> Comparison:
    return Comparison(first, TRUE, second, TRUE, PRIMARY_OUTCOMES, primary, claim)


def _shown_none(first: str, second: str, claim: str, primary: bool = False) -> Comparison:
    return Comparison(first, NONE, second, NONE, IMAGE_OUTCOMES, primary, claim)


COMPARISONS: Final = (
    _shown_none("multi_grained", "global", "regions in the image stage, none at test", primary=True),
    Comparison("multi_grained", TRUE, "no_region_stage", TRUE, IMAGE_OUTCOMES, True, "the region stage"),
    _shown_boxes("multi_grained", "one_stage", "two stages against one", primary=True),
    _shown_boxes("multi_grained", "roi_align", "RIM against RoIAlign", primary=True),
    Comparison(
        "multi_grained", TRUE, "global", NONE, IMAGE_OUTCOMES, False, "the paper's pair: tuning and input differ"
    ),
    Comparison(
        "multi_grained",
        TRUE,
        "global",
        TRUE,
        IMAGE_OUTCOMES,
        False,
        "multi-grained against global, true boxes for both",
    ),
    _shown_none("multi_grained", "image_only", "against a model without regions"),
    _shown_none("multi_grained", "no_region_stage", "the region stage, none at test"),
    _shown_boxes("interactive_roi", "multi_grained", "RoI seeds for the RIM"),
    _shown_boxes("interactive_roi", "roi_align", "seeded RIM against RoIAlign"),
    _shown_boxes("interactive_roi_residual", "interactive_roi", "seeds kept or replaced"),
    _shown_boxes("interactive_roi_residual", "roi_align", "kept seeds against RoIAlign"),
    _shown_boxes("interactive_biased", "multi_grained", "attention biased to the box"),
    _shown_boxes("interactive_biased", "roi_align", "biased RIM against RoIAlign"),
    _shown_boxes("interactive_biased_depth_1", "roi_align", "biased RIM, depth 1, against RoIAlign"),
    _shown_boxes("interactive_roi_biased", "multi_grained", "our RIM against the paper's"),
    _shown_boxes("interactive_roi_biased", "roi_align", "our RIM against RoIAlign"),
    _shown_none("interactive_roi_biased", "roi_align", "our RIM against RoIAlign, none at test"),
    _shown_boxes("interactive_roi_biased_depth_1", "roi_align", "our RIM, depth 1, against RoIAlign"),
    _shown_none("interactive_roi_biased_depth_1", "roi_align", "our RIM, depth 1, against RoIAlign, none at test"),
    _shown_boxes("one_stage", "box_text", "RIM against boxes as text, one stage"),
    _shown_boxes("multi_grained", "box_text_two_stages", "RIM against boxes as text, two stages"),
    Comparison("multi_grained", TRUE, "multi_grained", BLANK, PRIMARY_OUTCOMES, False, "what the pixels bring"),
)
