"""How policykit talks to people: places, diagnostics, and the catalogue of stable codes."""

from policykit.diagnostics.codes import CATALOGUE, CodeEntry
from policykit.diagnostics.diagnostic import Diagnostic, InternalError, PolicyError, Severity
from policykit.diagnostics.place import Place
from policykit.diagnostics.suggest import did_you_mean

__all__ = ["CATALOGUE", "CodeEntry", "Diagnostic", "InternalError", "Place", "PolicyError", "Severity", "did_you_mean"]
