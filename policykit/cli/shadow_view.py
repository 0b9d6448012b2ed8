"""What a candidate bundle says of live traffic, for people and for machines."""

import json
from collections.abc import Iterator, Sequence
from itertools import groupby

from policykit.audit import LoggedSpan, SpanForm
from policykit.audit.shadow import Counted, Difference, Pair, ShadowReport
from policykit.cli.render import counted
from policykit.cli.visible import shown


def shadow_text(report: ShadowReport) -> Iterator[str]:
    """Lines: for each pair of bundles and profile what was asked, and each rule that differs with examples."""
    if not report.tallies:
        yield "nothing was asked yet"
    bundles = {(tally.pair.candidate, tally.pair.live): None for tally in report.tallies}
    for candidate, live in bundles:
        yield f"candidate {_named(report, candidate)} beside {_named(report, live)}"
        for tally in report.tallies:
            if (tally.pair.candidate, tally.pair.live) == (candidate, live):
                yield from _profile(report, tally.pair)


def _profile(report: ShadowReport, pair: Pair) -> Iterator[str]:
    tally = next(tally for tally in report.tallies if tally.pair == pair)
    n = {what: tally.of(what) for what in Counted}
    asked = f"{counted(n[Counted.REQUESTS], 'request')}, {counted(n[Counted.TEXTS], 'text')}"
    not_asked = [f"{n[what]} {what.value}" for what in (Counted.DROPPED, Counted.FAILED) if n[what]]
    yield f"  profile {shown(pair.profile)}: {', '.join([asked, f'{n[Counted.DIFFERED]} differ', *not_asked])}"
    for rule, found in groupby(_of(report.differences, pair), lambda difference: difference.rule):
        yield f"    {shown(rule)}"
        for difference in found:
            yield f"      {difference.change.value}: {counted(difference.n, 'text')} ({difference.channel})"
            for example in difference.examples:
                spans = ", ".join(_span(span) for span in example.spans)
                effect = f"{example.live} -> {example.candidate}"
                yield f"        {example.record}  {effect}{f'  {spans}' if spans else ''}"


def _of(differences: Sequence[Difference], pair: Pair) -> list[Difference]:
    """By rule, the one that differs most first."""
    found = [difference for difference in differences if difference.pair == pair]
    most = {d.rule: max(other.n for other in found if other.rule == d.rule) for d in found}
    return sorted(found, key=lambda d: (-most[d.rule], d.rule, -d.n, d.change.value, d.channel))


def _named(report: ShadowReport, digest: str) -> str:
    revision = report.revision(digest)
    return f"revision {revision} ({digest})" if revision else digest


def _span(span: LoggedSpan) -> str:
    if span.start is None:
        return "the whole text"
    at = f"{span.start}-{span.end}"
    if span.form in (SpanForm.MASKED, SpanForm.CLEAR):
        return f"{at} {shown(span.value)!r}"
    return f"{at} {span.value[:12]}" if span.value else at


def shadow_json(report: ShadowReport) -> str:
    """The same, as one JSON object."""
    compared = [
        {
            "candidate": tally.pair.candidate,
            "live": tally.pair.live,
            "profile": tally.pair.profile,
            **{what.value: tally.of(what) for what in Counted},
            "differences": [_difference(d) for d in _of(report.differences, tally.pair)],
        }
        for tally in report.tallies
    ]
    return json.dumps({"revisions": dict(report.revisions), "compared": compared}, indent=1, ensure_ascii=False) + "\n"


def _difference(difference: Difference) -> dict[str, object]:
    examples = [
        {
            "record": example.record,
            "live": example.live,
            "candidate": example.candidate,
            "spans": [{"start": s.start, "end": s.end, "form": s.form.value, "value": s.value} for s in example.spans],
        }
        for example in difference.examples
    ]
    of = {"rule": difference.rule, "change": difference.change.value, "channel": difference.channel}
    return {**of, "texts": difference.n, "examples": examples}
