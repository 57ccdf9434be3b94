"""What is trained and asked, as data: systems, and the sizes of the study."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import Final


class Recipe(StrEnum):
    """How a system is trained; all see the same number of examples."""

    TWO_STAGES = "two stages"
    IMAGE_STAGE = "image stage alone"
    ONE_STAGE = "one stage"


TRUE, JITTERED, DROPPED, SPURIOUS, NONE, BLANK = "true", "jittered", "dropped", "spurious", "none", "blank"
"""What a model is shown at test time: which boxes, or a blank image with the true ones."""

MODES: Final = {"region": (TRUE, JITTERED, BLANK), "image": (TRUE, JITTERED, DROPPED, SPURIOUS, NONE, BLANK)}
ROW_GROUPS: Final = ("headline", "seeded", "improved", "main")
SHIFTED_MODES: Final = (TRUE, NONE)
"""Perturbed boxes and blank images are tried on the standard test scenes only."""

_TWO_LISTS: Final = {"region": (TRUE,), "image": (TRUE, NONE)}


@dataclass(frozen=True)
class System:
    """One row.

    Attributes:
        name: Name of its files.
        title: What tables call it.
        group: ``headline``, ``seeded``, ``main``, ``rim``, ``lora``, or ``improved`` for what is exploratory.
        seeds: How many seeds are trained.
        recipe: How it is trained.
        guided: Whether the image stage shows regions.
        model_flags: Flags of ``mgimm_plugin.train`` that shape the model.
        image_flags: Flags of the image stage alone.
        modes: What it is asked with, by task; a task that is not there is not answered.
        own_trials: Whether it has its own trials on validation; else it takes the rate of ``multi_grained``.
    """

    name: str
    title: str
    group: str = "main"
    seeds: int = 3
    recipe: Recipe = Recipe.TWO_STAGES
    guided: bool = True
    model_flags: tuple[str, ...] = ("--mm_region_encoder", "interactive")
    image_flags: tuple[str, ...] = ()
    modes: dict[str, tuple[str, ...]] = field(default_factory=lambda: dict(_TWO_LISTS))
    own_trials: bool = True

    @property
    def region_stage(self) -> str:
        """Name of its region stage: systems that differ in the image stage alone share it."""
        return "-".join(flag.removeprefix("--mm_region_") for flag in self.model_flags)


def _encoder(name: str) -> tuple[str, ...]:
    return ("--mm_region_encoder", name)


def _improved(encoder: str, title: str, depth: int | None = None) -> System:
    flags = _encoder(encoder)
    if depth is None:
        return System(encoder, title, "improved", model_flags=flags, modes=dict(MODES))
    flags = (*flags, "--mm_region_depth", str(depth))
    return System(
        f"{encoder}_depth_{depth}", f"{title}, depth {depth}", "improved", model_flags=flags, modes=dict(MODES)
    )


MULTI_GRAINED: Final = System("multi_grained", "MGIMM, multi-grained", "headline", 5, modes=dict(MODES))

_ROWS: Final = (
    MULTI_GRAINED,
    System("global", "MGIMM, global", "headline", 5, guided=False),
    System("no_region_stage", "no region stage", "headline", 5, Recipe.IMAGE_STAGE, modes={"image": (TRUE, NONE)}),
    System("one_stage", "one stage", "headline", 5, Recipe.ONE_STAGE),
    System("roi_align", "RoIAlign instead of RIM", "headline", 5, model_flags=_encoder("roi_align"), modes=dict(MODES)),
    System(
        "interactive_roi",
        "RIM seeded with RoI features",
        "seeded",
        model_flags=_encoder("interactive_roi"),
        modes=dict(MODES),
    ),
    _improved("interactive_roi_residual", "seeded RIM that keeps its seeds"),
    _improved("interactive_biased", "RIM biased to its box"),
    _improved("interactive_biased", "RIM biased to its box", depth=1),
    _improved("interactive_roi_biased", "our RIM: seeds kept, biased to its box"),
    _improved("interactive_roi_biased", "our RIM: seeds kept, biased to its box", depth=1),
    # GeoChat trains everything at once, so it is set against the RIM trained at once; the other row is for the stages.
    System("box_text", "boxes as text, one stage", recipe=Recipe.ONE_STAGE, model_flags=_encoder("box_text")),
    System("box_text_two_stages", "boxes as text, two stages", model_flags=_encoder("box_text")),
    System(
        "image_only",
        "image only",
        recipe=Recipe.IMAGE_STAGE,
        guided=False,
        model_flags=_encoder("none"),
        modes={"image": (NONE,)},
    ),
)


def _variant(group: str, name: str, title: str, seeds: int, **flags: tuple[str, ...]) -> System:
    return System(name, title, group, seeds, own_trials=False, **flags)  # type: ignore[arg-type]


_RIM: Final = tuple(
    _variant("rim", f"rim_{name}", f"RIM, {title}", 1, model_flags=(*_encoder("interactive"), *flags))
    for name, title, flags in (
        ("tokens_1", "1 token (mean)", ("--mm_region_tokens", "1")),
        ("tokens_4", "4 tokens", ("--mm_region_tokens", "4")),
        ("depth_1", "depth 1", ("--mm_region_depth", "1")),
        ("depth_4", "depth 4", ("--mm_region_depth", "4")),
        ("no_image_update", "image not updated", ("--mm_region_image_update", "False")),
        ("fourier_half", "Fourier scale 0.5", ("--mm_region_fourier_scale", "0.5")),
        ("fourier_double", "Fourier scale 2", ("--mm_region_fourier_scale", "2.0")),
    )
)

# r = 16 with alpha = 256 is in both halves; it is MGIMM itself.
LORA_SETTINGS: Final = ((4, 64), (8, 128), (32, 512), (64, 1024), (16, 16), (16, 32))
_LORA: Final = tuple(
    _variant(
        "lora",
        f"lora_r{r}_alpha{alpha}",
        f"LoRA r = {r}, alpha = {alpha}",
        3,
        image_flags=("--lora_r", str(r), "--lora_alpha", str(alpha)),
    )
    for r, alpha in LORA_SETTINGS
)

SYSTEMS: Final = {system.name: system for system in (*_ROWS, *_RIM, *_LORA)}
"""All trained rows by name. The floor, a blank image with the same boxes, is a mode of asking and has no training."""


_MAY_GROW: Final = ("most_seeds", "groups", "modes", "is_shifted_tested")
"""What of a scale shapes no single run."""


@dataclass(frozen=True)
class Scale:
    """A size of the study.

    Attributes:
        scenes: Scenes of the train, val and test set; each shifted set has as many as test.
        batch: Examples a step, in all stages.
        region_steps: Steps of the region stage.
        image_steps: Steps of the image stage.
        image_stage_alone_steps: Steps of rows that have the image stage alone; None for those of both stages together.
        region_rate: Learning rate of the region stage, before the factor chosen on validation.
        image_rate: That of the image stage.
        rate_factors: The trials; a single one means that nothing is chosen.
        most_seeds: No system has more.
        groups: Groups of systems.
        modes: What of a system's modes is asked.
        is_shifted_tested: Whether the shifted sets are drawn and asked about.
        train_flags: Flags of every training.
    """

    scenes: tuple[int, int, int]
    batch: int
    region_steps: int
    image_steps: int
    image_stage_alone_steps: int | None = None
    region_rate: float = 2e-3
    image_rate: float = 6e-4
    rate_factors: tuple[float, ...] = (1.0,)
    most_seeds: int = 5
    groups: tuple[str, ...] = ("headline",)
    modes: tuple[str, ...] = MODES["image"]
    is_shifted_tested: bool = False
    train_flags: tuple[str, ...] = ("--model_max_length", "1024", "--mm_region_mlp_dim", "256")

    @property
    def training(self) -> str:
        """What all runs of a study must have in common; more rows, seeds or modes may come later."""
        return repr({name: value for name, value in asdict(self).items() if name not in _MAY_GROW})

    def steps_of_last_stage(self, recipe: Recipe) -> int:
        """Steps of the image stage, or of the one stage that there is."""
        both = self.region_steps + self.image_steps
        alone = self.image_stage_alone_steps or both
        return {Recipe.TWO_STAGES: self.image_steps, Recipe.ONE_STAGE: both, Recipe.IMAGE_STAGE: alone}[recipe]

    def asks(self, system: System, mode: str, *, is_shifted: bool) -> bool:
        """Whether a system is asked in a mode; the RIM and LoRA studies are not asked about shifted scenes."""
        return mode in self.modes and (not is_shifted or (mode in SHIFTED_MODES and system.group in ROW_GROUPS))

    def seeds_of(self, system: System) -> range:
        """The seeds of a system."""
        return range(min(system.seeds, self.most_seeds))

    def systems(self) -> list[System]:
        """The systems of this size."""
        return [system for system in SYSTEMS.values() if system.group in self.groups]


SCALES: Final = {
    "small": Scale(
        scenes=(300, 1, 20),
        batch=8,
        region_steps=100,
        image_steps=50,
        most_seeds=1,
        modes=(TRUE, JITTERED, NONE, BLANK),
    ),
    "medium": Scale(
        scenes=(1_500, 1, 100),
        batch=16,
        region_steps=1_000,
        image_steps=80,
        # Equal FLOPs: counted before the runs, an example takes 0.86 GFLOP in the region stage, 14.5 about an image.
        image_stage_alone_steps=120,
        most_seeds=3,
        groups=("headline", "seeded"),
        is_shifted_tested=True,
    ),
    "full": Scale(
        scenes=(10_000, 500, 1_000),
        batch=32,
        region_steps=4_000,
        image_steps=3_000,
        rate_factors=(1 / 3, 1.0, 3.0),
        groups=("headline", "seeded", "main", "rim", "lora"),
        is_shifted_tested=True,
        train_flags=("--model_max_length", "1024", "--mm_region_mlp_dim", "256", "--dataloader_num_workers", "4"),
    ),
}
