"""What ``higan-fast dose`` leaves in a run folder: figures, curves, and a sample along each boundary.

A sweep is no ``Finding``, which what experiments find is. It is a stage: ``probe`` and ``demo`` make one,
``manipulate`` reads curves and steps of it again, and the report draws it with marks that say what they are.
A Finding would hold the same figures a second time, and nothing here would go.
"""

from __future__ import annotations

import json
from pathlib import Path

from higan_fast.files import write_whole
from higan_fast.pictures import save_picture
from higan_fast.probing import Sweep
from higan_fast.probing.sweep_pictures import sweep_picture
from higan_fast.progress import say
from higan_fast.report import dose_figure, dose_png
from higan_fast.run_folder import RunFolder


def write_dose_files(run: RunFolder, found: Sweep, *, quiet: bool) -> None:
    """Writes dose.csv, .json, .svg, .png and dose.pictures.png.

    Without Matplotlib there is no dose.png; one that was there would be of another sweep, and is removed.
    """
    texts = {"csv": found.to_csv(), "json": json.dumps(found.to_json(), indent=2), "svg": dose_figure(found)}
    contents = {ending: text.encode() for ending, text in texts.items()}
    try:
        contents["png"] = dose_png(found)
    except ModuleNotFoundError as error:
        _path(run, "png").unlink(missing_ok=True)
        if not quiet:
            say(f"no dose.png: {error}")
    for ending, content in contents.items():
        with write_whole(_path(run, ending)) as file:
            file.write(content)
    save_picture(_path(run, "pictures.png"), sweep_picture(run.generator, run.boundaries, found))
    if not quiet:
        say(f"written: {run.path / 'dose'}.{{{','.join([*contents, 'pictures.png'])}}}")


def _path(run: RunFolder, ending: str) -> Path:
    return run.path / f"dose.{ending}"
