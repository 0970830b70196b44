"""`anybyte demo`: a joint model of written and spoken digits, from nothing to a report in about two minutes.

The pictures are scikit-learn's handwritten digits, the sounds come from a small speech synthesiser (speech.py). Both
are written as ordinary files (data.py), trained on and evaluated with the library's own functions (run.py), and shown
on one page (report.py).
"""
