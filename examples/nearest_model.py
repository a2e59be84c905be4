#!/usr/bin/python3
"""Which of these models has the task most like yours? Features of your labelled pictures by each, and how well they fit.

    ./nearest_model.py birds bank/*.safetensors

The pictures are birds/<class>/<file>; PARC is measured, with a bootstrap interval and what shuffled labels would give.
"""

import pathlib
import sys

import akin


def main(folder: str, *models: str) -> None:
    pictures = sorted(file for file in pathlib.Path(folder).glob("*/*") if file.is_file())
    if not pictures or not models:
        raise akin.Usage(f"{folder}: needs pictures in a folder for each class, and one model or more")
    labels = [file.parent.name for file in pictures]
    tables = {pathlib.Path(model).stem: akin.load(model).features(pictures)._asdict() for model in models}
    ranking = akin.rank_tables(tables, labels, metric="parc")
    print(f"{len(pictures)} pictures of {len(set(labels))} classes, {ranking.metric} x100")
    for row in ranking:
        print(f"{row.source:24} {100 * row.value:6.1f}   {100 * row.low:.1f} to {100 * row.high:.1f}"
              f"   chance {100 * row.chance:.1f}   nearest in {100 * row.best_share:.0f} % of draws")
    for note in ranking.notes:
        print("note:", note)


if __name__ == "__main__":
    try:
        main(*sys.argv[1:] or [""])
    except akin.Error as error:
        sys.exit(f"nearest_model: {error}")
