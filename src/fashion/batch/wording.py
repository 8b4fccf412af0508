"""What came of a source, in words."""

from pathlib import Path

from fashion.adapters.decoding import readable_name
from fashion.batch.answer import Answered
from fashion.batch.answering import Tally
from fashion.batch.plan import passed_over
from fashion.evaluation.abstention import EXPLANATIONS
from fashion.text import escape_markdown, markdown_table


def class_rows(tally: Tally) -> list[dict[str, str]]:
    """Return a row for each class that was answered, the most frequent first."""
    answers = sum(tally.by_class.values())
    ordered = sorted(tally.by_class.items(), key=lambda pair: (-pair[1], pair[0]))
    return [{"class": name, "answers": f"{count:,}", "share": f"{count / answers:.1%}"} for name, count in ordered]


def sentences(answered: Answered, output: Path) -> list[str]:
    """Return what there is to say beside the classes."""
    tally = answered.tally
    said = [f"{readable_name(answered.source)}: {answered.in_words}{passed_over(answered.passed_over)}."]
    for reason, count in tally.abstained.items():
        said.append(
            f"{reason}: {count:,} answer{_plural(count)} should not be relied on, since {EXPLANATIONS[reason]}."
        )
    if tally.refused:
        said.append(f"Refused: {tally.refused:,}. The first: {'; '.join(tally.first_refused)}")
    if answered.known:
        said.append(f"{answered.known:,} of {answered.shards:,} shards were there already.")
    said.append(
        f"The answers are in {readable_name(output)}: one row per picture, in {answered.shards:,} Parquet "
        f"shard{_plural(answered.shards)}."
    )
    return said


def _plural(count: int) -> str:
    return "" if count == 1 else "s"


def summary_of(answered: Answered, output: Path) -> str:
    """Return the same as Markdown."""
    rows, said = class_rows(answered.tally), "\n\n".join(map(escape_markdown, sentences(answered, output)))
    return f"{markdown_table(rows)}\n\n{said}" if rows else said
