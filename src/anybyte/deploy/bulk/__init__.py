"""Files by the million: everything in folders, archives and stores, classified into one table.

sources.py      what there is, lazily and in an order that is always the same
rows.py         files -> rows; what goes wrong with a file is in its row
parts.py        the table as it grows: written part by part, taken up where it stopped
engines.py      who computes: this process, or several
ray_engine.py   or Ray Data
run.py          all of it together
"""
