"""The section of ``/explain`` that follows the calls of a source from call to repair."""

from html import escape

from rmetrics.explain.asked import Query as Figure
from rmetrics.explain.explanation import Explanation
from rmetrics.html_report.data import ALL
from rmetrics.rules.describe import rules_in_words
from rmetrics.serve.frame import PageRequest, place


def calls_of(asked: PageRequest, of: Figure, found: Explanation) -> str:
    """Renders the steps and the rule that gives a call its source."""
    described = [s for s in rules_in_words(asked.view.lake.rules, of.month) if s.topic == "calls"]
    rules = "".join(f'<p class="rule">{escape(s.words)} {place(s.where)}</p>' for s in described)
    if not found.calls:
        whose = "" if of.source == ALL else f" of {of.source}"
        return f"<h2>Calls</h2><p>No call{escape(whose)} counts in {of.month:%B %Y}.</p>{rules}"
    steps = "".join(
        f'<li><span>{escape(s.step)}</span><b data-step="{escape(s.step)}">{s.rows:,}</b></li>' for s in found.calls
    )
    about = (
        "Calls are counted as calls, jobs as jobs: several calls can lead to one job. A job with two calls counts once."
    )
    return f'<h2>Calls</h2><div class="card wide"><ol class="steps">{steps}</ol><p>{about}</p>{rules}</div>'
