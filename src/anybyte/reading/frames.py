"""How a model of optical flow looks at frames: the settings that its folder keeps. Pairs are not single files, so there
is no `Reading` of them: `predictor/flow.py` does what is said here."""

from __future__ import annotations

from anybyte.config import FramesConfig


def check_frames(config: FramesConfig, settings: str = "reading") -> None:
    """Raises ValueError unless there is a pass, frames are made smaller only, and sides are odd.

    `settings` is what errors call the settings.
    """
    if not config.scales:
        raise ValueError(f"{settings}.scales is empty: flow takes one pass at least")
    for scale in config.scales:
        if not 0 < scale <= 1:
            raise ValueError(f"{settings}.scales are above 0 and up to 1, got {scale:g}")
    for name, side in (("median", config.median), ("check", config.check)):
        if side is not None and (side < 1 or side % 2 == 0):
            raise ValueError(f"{settings}.{name} is a number of pixels from 1, and odd, got {side}")


def describe_frames(config: FramesConfig) -> str:
    """What a model reads, in words for its card."""
    how = "by tiles" if config.tiles else "whole"
    after = f", with a median of {config.median}x{config.median} pixels after each" if config.median > 1 else ""
    after += "" if config.check is None else f", kept where it fits over {config.check}x{config.check} pixels"
    if config.scales == (1.0,):
        return f"pairs of frames, {how}, in one pass{after}" if after else f"pairs of frames, {how}"
    sizes = ", ".join(f"{scale:g}" for scale in config.scales)
    return f"pairs of frames, {how}, in {len(config.scales)} passes at {sizes} of their size{after}"
