"""Policy documents: YAML files, read strictly, as values of the IR."""

from policykit.policy.formatting import format_text
from policykit.policy.load import document_of, load_policies, parse_document, tree_of
from policykit.policy.schema import document_schema

__all__ = ["document_of", "document_schema", "format_text", "load_policies", "parse_document", "tree_of"]
