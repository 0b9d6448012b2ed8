"""Policy documents: YAML files, read strictly, as values of the IR."""

from policykit.policy.load import load_policies, parse_document
from policykit.policy.schema import document_schema

__all__ = ["document_schema", "load_policies", "parse_document"]
