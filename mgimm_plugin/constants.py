"""Names and numbers that several layers share. Imports nothing, so that every layer may import it."""

IGNORE_INDEX = -100
"""Label of a position that carries no loss (torch's and LLaVA's convention)."""

IMAGE_TOKEN_INDEX = -200
"""Sentinel id of ``<image>`` in ``input_ids``; the same number as LLaVA's."""

REGION_TOKEN_INDEX = -300
"""Sentinel id of ``<region>`` in ``input_ids``; replaced by the tokens of a box."""

DEFAULT_IMAGE_TOKEN = "<image>"
DEFAULT_REGION_TOKEN = "<region>"

REGION_TOKENS_PER_BOX = 2
"""A box is encoded by its two corners, and each corner becomes one token of the language model, unless the config's
``mm_region_tokens`` asks for another number."""

BOX_UNITS = 1 << 16
"""Boxes travel in batches as integers of 1/65536 of the tower's frame: a float would be rounded to bfloat16."""

DEFAULT_MAX_PIXELS = 2 * 89_478_485
"""Images with more pixels are refused: where Pillow itself takes an image for a decompression bomb."""

MIN_TEMPERATURE = 0.01
"""Lowest temperature that samples. Logits are divided by it: far below, they overflow and the probabilities are NaN."""

REGION_QUESTION = "Describe the basic attributes of the main object in this region."
IMAGE_QUESTION = "Describe this remote sensing image in detail."

ASPECT_RATIO_MODES = ("pad", "resize", "square", "anyres")
"""Values of ``image_aspect_ratio``; what each does to an image and its boxes is in ``geometry``."""
