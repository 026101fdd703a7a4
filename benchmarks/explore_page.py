"""Prints how long a page of ``explore`` takes from a moved slider to painted pixels, in a real browser.

``python -m benchmarks.explore_page RUN``; needs Playwright and Chromium. Every move waits for the picture of
the last. Server and browser share the machine's cores.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import click
import numpy as np

from benchmarks.explore import server

WARMUP = 20  # moves that are not counted

# From the event to the drawn canvas, and to the first task after the frame that shows it.
MOVE = """async (moves) => {
  const slider = document.querySelector('#sliders input[type=range]');
  const canvas = document.querySelector('#own canvas');
  const [low, high] = [Number(slider.min), Number(slider.max)];
  const frame = () => new Promise((done) => requestAnimationFrame(() => {
    const { port1, port2 } = new MessageChannel();
    port1.onmessage = done;
    port2.postMessage(null);
  }));
  const times = [];
  for (let move = 0; move < moves; move++) {
    const drawn = new Promise((done) => canvas.addEventListener('painted', done, { once: true }));
    slider.value = low + (high - low) * (0.5 + 0.45 * Math.sin(move / 7));
    const start = performance.now();
    slider.dispatchEvent(new InputEvent('input', { bubbles: true }));
    const { detail } = await drawn;
    const canvasAt = performance.now();
    await frame();
    times.push([canvasAt - start, performance.now() - start, detail.milliseconds]);
  }
  return times;
}"""


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("run", type=click.Path(exists=True, path_type=Path))
@click.option("--moves", default=300, show_default=True, type=click.IntRange(20))
@click.option("--threads", type=int, help="CPU threads of the server.")
def main(run: Path, moves: int, threads: int | None) -> None:
    """Move a slider of RUN's page again and again, with one picture and with two, and print a table."""
    from playwright.sync_api import sync_playwright

    with server(run, threads, "auto") as url, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 1440, "height": 900})
        click.echo(f"load {os.getloadavg()[0]:.2f}\n\n| pictures | to | median, ms | 95th percentile, ms |")
        click.echo("|---:|---|---:|---:|")
        for pictures in (1, 2):
            page.goto("about:blank")
            page.goto(f"{url}#1&b={pictures - 1}")
            page.wait_for_selector("canvas[data-format=png]")
            times = np.array(page.evaluate(MOVE, moves + WARMUP))[WARMUP:]
            for column, name in enumerate(("drawn canvas", "shown frame", "(server alone)")):
                middle, late = np.percentile(times[:, column], (50, 95))
                click.echo(f"| {pictures} | {name} | {middle:.1f} | {late:.1f} |")
        browser.close()


if __name__ == "__main__":
    main()
