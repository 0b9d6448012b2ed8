"""The official JSON Schema test suite, required tests: end to end, and by the mask alone, with every departure listed.

    python benchmarks/jsonschema_suite.py --suite json-schema-test-suite.tar.gz [--drafts draft7,draft2020-12]
        [--out results.json]

A group is compiled once. End to end, an instance is admitted where it is valid by the plan's grammar validator (whole
text, any spelling). By the mask alone, where the mask lets its bytes through to the end of text, as it stands or, if it
is valid, in canonical form: compact, names in the order of their definition, members of `const` and `enum` as the
schema writes them, the shortest spelling of numbers. A group that is refused as unsatisfiable agrees where all of its
instances are invalid.

`format` is asserted here, as it is for a model's output; the suite's required tests read it as an annotation. These
instances are counted apart.
"""

import argparse
import json
import platform
from collections import Counter
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

from jsonschema_data import canonical, read_suite, written

from policykit.diagnostics import Place, PolicyError
from policykit.grammar import GrammarValidator, json_schema, matches
from policykit.ir.grammar import GrammarSpec

Row = dict[str, Any]
PLACE = Place("<suite>")


def run_group(case: Row) -> Row:
    """What becomes of one group: its outcome, and for each instance what is expected and what is found."""
    row: Row = {"draft": case["name"].split("/")[0], "name": case["name"]}
    try:
        spec = json_schema(case["schema"], PLACE, case["documents"])
    except PolicyError as error:
        first = error.diagnostics[0]
        is_proof = first.code == "PK208"
        outcome = "unsatisfiable" if is_proof else "refused"
        valid = [test["description"] for test in case["tests"] if test["valid"]]
        return {**row, "outcome": outcome, "why": f"{first.code}: {first.message}", "valid": valid, "tests": []}
    judge = GrammarValidator(spec)
    residue = tuple(found.keyword for found in spec.residue)
    tests: list[Row] = []
    for test in case["tests"]:
        tests.append({
            "name": test["description"],
            "valid": test["valid"],
            "passes": not judge.check(written(test["data"])),
            "masked": is_masked(spec, case["schema"], test),
        })  # fmt: skip
    return {**row, "outcome": "compiled", "residue": residue, "tests": tests}


def is_masked(spec: GrammarSpec, schema: Any, test: Row) -> bool:
    """Whether the mask lets an instance through as it stands, or a valid one in canonical form."""
    data = test["data"]
    return matches(spec, written(data)) or (test["valid"] and matches(spec, written(canonical(schema, data))))


def of_draft(rows: Sequence[Row]) -> Row:
    """The figures of one draft."""
    tests = [(row, test) for row in rows for test in row["tests"]]
    asserted = [(row, test) for row, test in tests if is_annotation(row, test)]
    asked = [(row, test) for row, test in tests if not is_annotation(row, test)]
    admitted = [(row, test) for row, test in asked if test["masked"] and not test["valid"]]
    return {
        "groups": len(rows),
        "compiled": sum(row["outcome"] == "compiled" for row in rows),
        "unsatisfiable": sum(row["outcome"] == "unsatisfiable" for row in rows),
        "refused": sum(row["outcome"] == "refused" for row in rows),
        "instances": len(asked),
        "valid": sum(test["valid"] for _, test in asked),
        "invalid": sum(not test["valid"] for _, test in asked),
        "disagreements end to end": sum(test["passes"] != test["valid"] for _, test in asked),
        "valid rejected by the mask": sum(test["valid"] and not test["masked"] for _, test in asked),
        "invalid admitted by the mask": len(admitted),
        "admitted where nothing is residue": sum(not row["residue"] for row, _ in admitted),
        "format as an annotation": len(asserted),
    }


def is_annotation(row: Row, test: Row) -> bool:
    """Whether an instance is refused because `format` is asserted, where the suite says that it is an annotation."""
    return test["valid"] and not test["passes"] and "is only an annotation by default" in test["name"]


def departures(rows: Sequence[Row]) -> Row:
    """Everything that is not as the suite has it, group by group."""
    found: dict[str, list[str]] = {
        "refused": [f"{row['name']}: {row['why']}" for row in rows if row["outcome"] == "refused"],
        "unsatisfiable, and an instance is valid": [
            row["name"] for row in rows if row["outcome"] == "unsatisfiable" and row["valid"]
        ],
        "disagrees end to end": [],
        "valid, and rejected by the mask": [],
        "format is asserted": [],
    }
    for row in rows:
        for test in row["tests"]:
            name = f"{row['name']}: {test['name']}"
            if is_annotation(row, test):
                found["format is asserted"].append(name)
                continue
            if test["passes"] != test["valid"]:
                found["disagrees end to end"].append(name)
            if test["valid"] and not test["masked"]:
                found["valid, and rejected by the mask"].append(name)
    admitted = Counter(
        row["name"].partition(":")[0]
        for row in rows
        for test in row["tests"]
        if test["masked"] and not test["valid"]
    )  # fmt: skip
    return {**found, "invalid, and admitted by the mask, by file": dict(admitted.most_common())}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--suite", type=Path, required=True, help="the suite as a tar file, with its remotes")
    parser.add_argument("--drafts", default="draft7,draft2020-12")
    parser.add_argument("--out", type=Path)
    args = parser.parse_args()
    drafts = args.drafts.split(",")
    rows = [run_group(case) for case in read_suite(args.suite, drafts)]
    result = {
        "benchmark": "jsonschema_suite",
        "command": f"python benchmarks/jsonschema_suite.py --suite {args.suite.name} --drafts {args.drafts}",
        "versions": {name: version(name) for name in ("policykit", "llguidance", "jsonschema-rs")},
        "python": platform.python_version(),
        "drafts": {draft: of_draft([row for row in rows if row["draft"] == draft]) for draft in drafts},
        "departures": departures(rows),
    }
    text = json.dumps(result, indent=2, ensure_ascii=False) + "\n"
    if args.out:
        args.out.write_text(text, encoding="utf-8")
    else:
        print(text)


if __name__ == "__main__":
    main()
