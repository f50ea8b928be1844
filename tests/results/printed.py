"""A sweep as the terminal shows it."""

from rich.console import Console

from w2s_sweep.results.tables.terminal import print_results


def text_of(results, width=100):
    console = Console(width=width, record=True, force_terminal=False)
    print_results(results, console)
    return console.export_text()
