"""`w2s export-model` and `w2s predict`: trained models outside the store, and on new texts."""

import argparse
import sys
from pathlib import Path

from rich.console import Console

from w2s_sweep.commands.base import Command
from w2s_sweep.store import Store

WHAT = "KEY of a trained stage, or leading digits of it, or SWEEP/CELL[:ROLE], such as demo/0:ceiling"


def export_model(console: Console, store: Store, args: argparse.Namespace) -> int:
    from w2s_sweep.export.model import export_model as export  # torch and peft are loaded only where they are needed

    message = export(store, args.stage, Path(args.folder).expanduser().absolute(), whole=args.whole)
    console.print(message, highlight=False, markup=False)
    return 0


def predict(console: Console, store: Store, args: argparse.Namespace) -> int:
    from w2s_sweep.export.predict import predict_file

    message = predict_file(
        store,
        args.stage,
        Path(args.file).expanduser(),
        Path(args.out).expanduser(),
        text=args.text,
        other=args.text_other,
        name=args.id,
        progress=lambda done, total: print(f"{done:,} of {total:,} texts", file=sys.stderr),
    )
    console.print(message, highlight=False, markup=False)
    return 0


def _export_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("stage", metavar="STAGE", help=WHAT)
    parser.add_argument("folder", metavar="FOLDER", help="a folder that is not there yet")
    parser.add_argument(
        "--whole", action="store_true", help="with all weights: adapters merged, the model below a probe"
    )


def _predict_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("stage", metavar="STAGE", help=WHAT)
    parser.add_argument(
        "file", metavar="FILE", help="texts as `w2s data` shows them: .jsonl, .json, .csv, .tsv, .parquet"
    )
    parser.add_argument("--out", metavar="FILE", required=True, help="what is written: .jsonl, .parquet or .csv")
    parser.add_argument("--text", metavar="COLUMN", default="text", help="column of the texts (default: text)")
    parser.add_argument(
        "--text-other",
        metavar="COLUMN",
        default="text_other",
        help="of the second texts of pairs (default: text_other)",
    )
    parser.add_argument("--id", metavar="COLUMN", help="column of ids (default: id, where there is one)")


EXPORT = "Write a trained model as a folder that transformers and PEFT load."
PREDICT = "Label the texts of a data file with a trained model."
COMMANDS = (
    Command("export-model", EXPORT, export_model, _export_arguments),
    Command("predict", PREDICT, predict, _predict_arguments),
)
