"""What a check found."""

from dataclasses import dataclass

WELL, NOTE, PROBLEM = "well", "note", "problem"


@dataclass(frozen=True)
class Finding:
    """The state of one subject, and what to do if it is not well."""

    subject: str
    verdict: str
    """WELL, NOTE (it works; good to know when something looks odd) or PROBLEM (something will fail)."""
    said: str
    advice: str = ""

    def __str__(self) -> str:
        advice = f"\n  {self.advice}" if self.advice else ""
        return f"{self.subject}: {self.said}{advice}"
