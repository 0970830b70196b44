"""Settings of optical flow: the pairs that are made to learn from, and the task."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal


@dataclass(frozen=True, kw_only=True)
class MadeFlowConfig:
    """Pairs of frames with exact flow, made from pictures, in the spirit of AutoFlow (Sun et al. 2021, arXiv
    2104.14544): textured layers, each under a motion of its own. Lengths are in pixels of the frames."""

    size: tuple[int, int] = (368, 496)
    """Height and width of a frame."""
    pairs: int = 4096
    """Pairs of an epoch; no two epochs have the same."""
    val_pairs: int = 64
    """Pairs to measure on, always the same."""
    layers: tuple[int, int] = (1, 6)
    """Shapes before the background, at least and at most."""
    shape_size: tuple[float, float] = (0.1, 0.5)
    """Mean radius of a shape, relative to the short side, at least and at most."""
    texture_side: int = 640
    """Pictures are kept at this length of their long side, at most."""
    texture_zoom: tuple[float, float] = (0.4, 1.0)
    """Texture pixels a pixel, at least and at most."""
    shift: tuple[float, float] = (0.5, 60.0)
    """Length of a layer's shift, at least and at most; drawn evenly on a logarithmic scale."""
    rotation: float = 12.0
    """Degrees that a layer turns, at most."""
    zoom: float = 0.15
    """Change of a layer's size, at most."""
    shear: float = 0.08
    bend: float = 8.0
    """Largest displacement of the smooth motion that is added to the affine one."""
    bend_length: tuple[float, float] = (120.0, 480.0)
    """Wavelength of the smooth motion, at least and at most."""
    still: float = 0.1
    """Share of the layers that do not move."""
    brightness: float = 0.15
    """Brightness and contrast of both frames, and by a third of it of each one alone, change by this, at most."""
    blur: float = 0.3
    """Share of the pairs that are blurred."""
    noise: float = 0.04
    """Standard deviation of the noise of each frame, at most, where full scale is 1."""
    plain: float = 0.1
    """Share of training that comes first, without changes of brightness, blur and noise."""
    grow: float = 0.4
    """Share of training after which motion and changes have their full size."""
    begin: float = 0.25
    """Size of the motion at the start, relative to the full one."""
    reverse: bool = True
    """Whether each pair is also learnt from backwards in time."""


@dataclass(frozen=True, kw_only=True)
class FlowConfig:
    """Optical flow: the mean end-point error, in units of `FlowOutputConfig.scale` pixels (section 4.2, appendix H)."""

    kind: Literal["flow"] = field(default="flow", init=False)
    pairs: Literal["made", "stored"] = "made"
    """Whether `data.path` holds pictures to make pairs of, or pairs with their flow (`files.flow_sets`). Of stored
    ones, `data.val_fraction` are held out, and frames are cut to the size that the model is made for."""
    made: MadeFlowConfig = field(default_factory=MadeFlowConfig)
    """With `made`: how."""
    passes: tuple[tuple[float, ...], ...] = ((1.0,),)
    """Each list is the sizes of the frames in passes one after the other, relative to those that are read
    (`models.passes`). A step draws one list and learns its last pass; the last list is what is measured. The paper's
    model takes one pass over frames as they are."""
    median: int = 1
    check: int | None = None
    """What is done after each pass in training; see `FramesConfig`, which says it for use. Passes of training may do
    without: a model that learns to mend rough answers mends smooth ones, too."""
