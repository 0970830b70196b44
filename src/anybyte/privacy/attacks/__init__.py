"""What attackers can do about a permutation of byte values and about a masked camera, on bytes and arrays alone.

The measurements with models and data are `anybyte.evaluate.audit`; what follows from them is in docs/privacy.md.
"""
