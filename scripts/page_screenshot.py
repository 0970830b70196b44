"""Writes docs/images/page.png: the page of a server with the demo's model, asked about a digit drawn with the mouse.

anybyte demo --out runs/demo
python scripts/page_screenshot.py runs/demo/run
"""

from __future__ import annotations

import argparse
import shutil
from pathlib import Path
from typing import Any

from anybyte.deploy.server import serve_in_thread

SEVEN = ((0.25, 0.2), (0.75, 0.2), (0.66, 0.42), (0.52, 0.62), (0.44, 0.86))
"""The stroke, as shares of the sheet."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", help="folder of the demo's run")
    parser.add_argument("--out", type=Path, default=Path(__file__).parents[1] / "docs/images/page.png")
    options = parser.parse_args()

    from playwright.sync_api import sync_playwright

    with serve_in_thread({"digits": options.model}) as url, sync_playwright() as run:
        browser = run.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 900, "height": 1000}, reduced_motion="reduce")
        page.goto(url)
        page.wait_for_selector("body[data-ready]")
        draw(page)
        page.wait_for_selector("#overlay canvas")
        page.click("#draw")  # out of the picture
        page.screenshot(path=options.out, full_page=True)
        print(f"{options.out}: {page.inner_text('#status')}")
        browser.close()


def draw(page: Any) -> None:
    """Draws the digit, 8 x 8 pixels as the demo's pictures are, and has it read."""
    page.click("#draw")
    page.select_option("#side", "8")
    box = page.locator("#sheet").bounding_box()
    places = [(box["x"] + x * box["width"], box["y"] + y * box["height"]) for x, y in SEVEN]
    page.mouse.move(*places[0])
    page.mouse.down()
    for place in places[1:]:
        page.mouse.move(*place, steps=8)
    page.mouse.up()
    page.click("#read-drawing")


if __name__ == "__main__":
    main()
