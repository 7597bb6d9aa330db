"""An experiment's report in the terminal: its tables, what they show, and where the files are."""

from __future__ import annotations

from typing import TYPE_CHECKING

from budgetnet.cli import show

if TYPE_CHECKING:
    from budgetnet.experiments.report import Report, Table


def print_report(report: Report) -> None:
    """Tables, findings, paths; the page has the rest."""
    for table in report.tables():
        print_table(table)
        show.say()
    for finding in report.findings:
        show.say(show.typed(finding.text))
    if report.paths:
        show.say()
        show.facts(report.paths)


def print_table(table: Table) -> None:
    """The columns that a terminal shows, texts to the left and numbers to the right."""
    kept = [index for index, column in enumerate(table.columns) if column.terminal]
    rows = [[show.typed(row.cells[index].text) for index in kept] for row in table.rows]
    columns = [table.columns[index] for index in kept]
    show.table([show.typed(column.title) for column in columns], rows, numbers=[column.number for column in columns])
    if table.terminal_note:
        show.say(table.terminal_note, "dim")
