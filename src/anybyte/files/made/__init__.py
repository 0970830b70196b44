"""Generated data with known answers, named as `made:NAME` where a data set's path is expected.

    shapes.py     point clouds of ten shapes, as .npy files
    entities.py   units on a map, and whom each should attack

An example follows from its part and number alone, so that the parts have nothing in common, and nothing is stored.
"""

from __future__ import annotations

PREFIX = "made:"
