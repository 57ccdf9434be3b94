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

COMPARISONS: Final = (
    Comparison("multi_grained", NONE, "global", NONE, IMAGE_OUTCOMES, True, "regions in the image stage, none at test"),
    Comparison("multi_grained", TRUE, "no_region_stage", TRUE, IMAGE_OUTCOMES, True, "the region stage"),
    Comparison("multi_grained", TRUE, "one_stage", TRUE, PRIMARY_OUTCOMES, True, "two stages against one"),
    Comparison("multi_grained", TRUE, "roi_align", TRUE, PRIMARY_OUTCOMES, True, "RIM against RoIAlign"),
    Comparison(
        "multi_grained", TRUE, "global", NONE, IMAGE_OUTCOMES, False, "the paper's pair: tuning and input differ"
    ),
    Comparison("multi_grained", TRUE, "global", TRUE, IMAGE_OUTCOMES, False, "the same, true boxes for both"),
    Comparison("multi_grained", NONE, "image_only", NONE, IMAGE_OUTCOMES, False, "against a model without regions"),
    Comparison("multi_grained", NONE, "no_region_stage", NONE, IMAGE_OUTCOMES, False, "the region stage, none at test"),
    Comparison("interactive_roi", TRUE, "multi_grained", TRUE, PRIMARY_OUTCOMES, False, "RoI seeds for the RIM"),
    Comparison("interactive_roi", TRUE, "roi_align", TRUE, PRIMARY_OUTCOMES, False, "seeded RIM against RoIAlign"),
    Comparison(
        "interactive_roi_residual", TRUE, "interactive_roi", TRUE, PRIMARY_OUTCOMES, False, "seeds kept or replaced"
    ),
    Comparison(
        "interactive_roi_residual", TRUE, "roi_align", TRUE, PRIMARY_OUTCOMES, False, "kept seeds against RoIAlign"
    ),
    Comparison(
        "interactive_biased",
        TRUE,
        "multi_grained",
        TRUE,
        PRIMARY_OUTCOMES,
        False,
        "attention biased to the box",
    ),
    Comparison("interactive_biased", TRUE, "roi_align", TRUE, PRIMARY_OUTCOMES, False, "biased RIM against RoIAlign"),
    Comparison("interactive_biased_depth_1", TRUE, "roi_align", TRUE, PRIMARY_OUTCOMES, False, "the same, depth 1"),
    Comparison(
        "interactive_roi_biased", TRUE, "multi_grained", TRUE, PRIMARY_OUTCOMES, False, "our RIM against the paper's"
    ),
    Comparison("interactive_roi_biased", TRUE, "roi_align", TRUE, PRIMARY_OUTCOMES, False, "our RIM against RoIAlign"),
    Comparison("interactive_roi_biased", NONE, "roi_align", NONE, IMAGE_OUTCOMES, False, "the same, none at test"),
    Comparison(
        "interactive_roi_biased_depth_1",
        TRUE,
        "roi_align",
        TRUE,
        PRIMARY_OUTCOMES,
        False,
        "with depth 1 against RoIAlign",
    ),
    Comparison(
        "interactive_roi_biased_depth_1", NONE, "roi_align", NONE, IMAGE_OUTCOMES, False, "the same, none at test"
    ),
    Comparison("one_stage", TRUE, "box_text", TRUE, PRIMARY_OUTCOMES, False, "RIM against boxes as text, one stage"),
    Comparison("multi_grained", TRUE, "box_text_two_stages", TRUE, PRIMARY_OUTCOMES, False, "the same, two stages"),
    Comparison("multi_grained", TRUE, "multi_grained", BLANK, PRIMARY_OUTCOMES, False, "what the pixels bring"),
)
