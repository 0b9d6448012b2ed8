"""From flags to classifiers."""

from argparse import ArgumentParser, Namespace
from pathlib import Path

from policykit.cli.engine import NotInstalled
from policykit.diagnostics import Diagnostic, PolicyError
from policykit.predicates import TextClassifier

_EXTRA = ("torch", "transformers", "safetensors")


def add_classifier_argument(parser: ArgumentParser) -> None:
    """``--classifier``, once per model."""
    parser.add_argument(
        "--classifier",
        action="append",
        default=[],
        metavar="NAME=FOLDER",
        help="the text-classification model that rules call NAME; may be given several times",
    )


def classifiers_from(args: Namespace) -> dict[str, TextClassifier]:
    """The models that the flags name. Raises PolicyError (PK450, PK451, PK550), NotInstalled."""
    found: dict[str, TextClassifier] = {}
    for given in args.classifier:
        name, equals, folder = given.partition("=")
        if not name or not equals or name in found:
            raise PolicyError.of("PK550", f"`--classifier {given}` is not NAME=FOLDER, or not the first of that name")
        found[name] = _load(Path(folder))
    return found


def _load(folder: Path) -> TextClassifier:
    try:
        from policykit.engines.classifier import load_classifier
    except ModuleNotFoundError as error:
        if error.name is None or error.name.split(".")[0] not in _EXTRA:
            raise
        message = f"a classifier needs `{error.name}`, which is not installed"
        raise NotInstalled(Diagnostic("PK555", message, help="pip install 'policykit[transformers]'")) from error
    return load_classifier(folder)
