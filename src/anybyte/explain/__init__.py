"""Which bytes decided: a score for each byte of a file, and the file shown with them.

methods.py      explain(model, data, method=..., label=...) -> Explanation, by one of METHODS
result.py       Explanation, Stretch
target.py       one logit as a function of the stem's tokens; tokens' scores dealt out to bytes
gradients.py occlusion.py attention.py: the methods
layout.py       where the bytes of each pixel or sample lie in a file
overlay.py      scores over the picture, the waveform or a map of the bytes, as PNG
hexdump.py page.py: coloured bytes in a terminal, and as a page
curves.py       what deleting and inserting bytes in the order of their scores does to the answer
"""

from __future__ import annotations

from anybyte.explain.methods import DEFAULT_METHOD, METHODS, explain
from anybyte.explain.overlay import Overlay, overlay
from anybyte.explain.result import Explanation, Stretch
from anybyte.explain.target import Stopped

__all__ = ["DEFAULT_METHOD", "METHODS", "Explanation", "Overlay", "Stopped", "Stretch", "explain", "overlay"]
