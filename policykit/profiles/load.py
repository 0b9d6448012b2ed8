"""Reading profile files: one pass that finds everything that is wrong with all of them."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from os.path import normpath
from pathlib import Path
from typing import TypeVar

from policykit.diagnostics import Diagnostic, Place, PolicyError
from policykit.grammar import json_schema, read_grammar
from policykit.ir.document import Document, PolicySet
from policykit.ir.grammar import GrammarSpec
from policykit.policy import load_policies
from policykit.policy.canonical import canonical_json
from policykit.policy.checked import Checked, Entries, Leaf
from policykit.policy.files import read_text_file
from policykit.profiles.checks import check_profile
from policykit.profiles.documents import Naming, beside, checked, files_of, text_beside
from policykit.profiles.profile import (
    Best,
    ClientTools,
    Decoding,
    Limits,
    OnRewardError,
    OutputRules,
    Profile,
    ProfileSet,
    Reasoning,
    Retrieval,
    Strategy,
    SystemPrompt,
    Task,
    Tool,
    digest_of,
)
from policykit.profiles.table import PROFILE_RECORDS

SUFFIX = ".profile.yaml"
NAMING = Naming(SUFFIX, (".profile.yml", ".profile.json", ".profiles.yaml", ".profiles.yml", ".profil.yaml"), "profile")
_T = TypeVar("_T")


def load_profiles(*paths: str | Path) -> ProfileSet:
    """The profiles of all files, and of all `**/*.profile.yaml` of directories, sorted by path.

    What they name (policies, grammars, prompts) is read with them, by its path from the file that names it.

    Raises:
        PolicyError: everything that is wrong with any of them, and with what they name.
    """
    diagnostics: list[Diagnostic] = []
    reading = _Reading(diagnostics)
    found = [reading.profile(path) for path in files_of(paths, NAMING, diagnostics)]
    profiles = [profile for profile in found if profile is not None]
    _check_names(profiles, diagnostics)
    if diagnostics:
        raise PolicyError(dict.fromkeys(diagnostics))
    warnings = dict.fromkeys(warning for profile in profiles for warning in profile.policies.warnings)
    return ProfileSet(tuple(profiles), tuple(warnings))


def _check_names(profiles: list[Profile], diagnostics: list[Diagnostic]) -> None:
    first: dict[str, Place] = {}
    for profile in profiles:
        if profile.name in first:
            related = ((first[profile.name], "the first one"),)
            message = f"duplicate profile name `{profile.name}`"
            diagnostics.append(Diagnostic("PK602", message, profile.place, "rename one of the two", related=related))
        first.setdefault(profile.name, profile.place)


@dataclass(slots=True)
class _Reading:
    """One call: policies that several profiles name are read once."""

    diagnostics: list[Diagnostic]
    read: dict[Path, PolicySet | None] = field(default_factory=dict[Path, PolicySet | None])

    def profile(self, path: Path) -> Profile | None:
        """The profile in a file, if nothing at all is wrong with it."""
        text = read_text_file(path, self.diagnostics)
        entries = None if text is None else checked(text, str(path), "profile", PROFILE_RECORDS, self.diagnostics)
        if entries is None:
            return None
        found: list[Diagnostic] = []
        named = _Named(path.parent, found, [str(path)])
        policies = self.policies(entries, named)
        grammar = named.grammar(entries.leaf("grammar"))
        prompt = named.prompt(entries.entries("systemPrompt"))
        tools = tuple(tool for entry in entries.records("tools") if (tool := _tool(entry, found)))
        if policies is not None and not found:
            profile = _lowered(entries, policies, grammar, prompt, tools, tuple(named.files))
            check_profile(profile, entries, found)
            if not found:
                return replace(profile, digest=digest_of(profile))
        self.diagnostics.extend(found)
        return None

    def policies(self, entries: Entries, named: "_Named") -> PolicySet | None:
        sets = [self.policies_at(leaf, named) for leaf in entries.leaves("policies")]
        documents = {d.place.file: d for found in sets if found for d in found.documents}
        warnings = dict.fromkeys(warning for found in sets if found for warning in found.warnings)
        named.files.extend(documents)
        first: dict[str, Document] = {}
        for document in documents.values():
            if first.setdefault(document.name, document) is not document:
                related = ((first[document.name].place, "the first one"), (document.place, "the second one"))
                message = f"two policies are called `{document.name}`"
                place = entries.fields["policies"].place
                named.diagnostics.append(Diagnostic("PK051", message, place, "rename one of the two", related=related))
        return None if None in sets else PolicySet(tuple(documents.values()), tuple(warnings))

    def policies_at(self, leaf: Leaf, named: "_Named") -> PolicySet | None:
        path = beside(leaf, named.folder, named.diagnostics)
        if path is None:
            return None
        path = Path(normpath(path))
        if path not in self.read:
            self.read[path] = _tried(lambda: load_policies(path), self.diagnostics)
        return self.read[path]


def _tried(make: Callable[[], _T], diagnostics: list[Diagnostic]) -> _T | None:
    try:
        return make()
    except PolicyError as error:
        diagnostics.extend(error.diagnostics)
        return None


@dataclass(frozen=True, slots=True)
class _Named:
    """The files that one profile names."""

    folder: Path
    diagnostics: list[Diagnostic]
    files: list[str]

    def grammar(self, leaf: Leaf | None) -> GrammarSpec | None:
        path = None if leaf is None else beside(leaf, self.folder, self.diagnostics)
        if path is None:
            return None
        found = _tried(lambda: read_grammar(path), self.diagnostics)
        grammar, files = found or (None, (path,))
        self.files.extend(normpath(file) for file in files)
        return grammar

    def prompt(self, entries: Entries | None) -> SystemPrompt | None:
        if entries is None:
            return None
        file = entries.leaf("file")
        if file is not None:
            text = text_beside(file, self.folder, self.diagnostics)
            self.files.append(normpath(self.folder / str(file.value)))
            if text is not None and not text.strip():
                self.diagnostics.append(Diagnostic("PK029", f"`{file.value}` is empty", file.place, "write the prompt"))
        else:
            text = entries.text("text")
        return SystemPrompt(entries.text("id") or "", text) if text else None


def _tool(entries: Entries, diagnostics: list[Diagnostic]) -> Tool | None:
    schema = canonical_json(entries.data("arguments"))
    place = entries.fields["arguments"].place
    grammar = _tried(lambda: json_schema(schema, Place(place.file, place.line, place.column)), diagnostics)
    judged = OutputRules(entries.text("outputRules") or OutputRules.APPLY)
    return grammar and Tool(entries.text("name") or "", entries.text("description"), grammar, judged)


def _lowered(
    entries: Entries,
    policies: PolicySet,
    grammar: GrammarSpec | None,
    prompt: SystemPrompt | None,
    tools: tuple[Tool, ...],
    files: tuple[str, ...],
) -> Profile:
    metadata = entries.fields["metadata"]
    assert isinstance(metadata, Entries), "the field table asks for a mapping"
    limits = _limits(entries.entries("limits"))
    retrieval = entries.entries("retrieval")
    return Profile(
        name=metadata.text("name") or "",
        version=metadata.text("version") or "",
        owner=metadata.text("owner") or "",
        why=metadata.text("why") or "",
        task=Task(entries.text("task") or ""),
        model=entries.text("model"),
        adapter=entries.text("adapter"),
        policies=policies,
        grammar=grammar,
        client_grammar=entries.flag("clientGrammar"),
        decoding=_decoding(entries.entries("decoding"), limits),
        system_prompt=prompt,
        tenants=tuple(str(leaf.value) for leaf in entries.leaves("tenants")) or ("*",),
        limits=limits,
        fallback=entries.text("fallback") or "",
        escalation=entries.text("escalation"),
        retrieval=_retrieval(retrieval) if retrieval else None,
        tools=tools,
        reasoning=Reasoning(entries.text("reasoning") or Reasoning.FORBIDDEN),
        digest="",
        place=_place(metadata.fields["name"]),
        files=tuple(dict.fromkeys(files)),
        client_tools=_client_tools(entries.entries("limits")) if entries.text("clientTools") == "allow" else None,
    )


def _client_tools(limits: Entries | None) -> ClientTools:
    none = ClientTools()
    if limits is None:
        return none
    max_chars = _whole(limits, "clientToolCharacters") or none.max_chars
    return ClientTools(_whole(limits, "clientTools") or none.most, max_chars)


def _place(value: Checked) -> Place:
    return value.place


def _whole(entries: Entries, name: str) -> int | None:
    number = entries.number(name)
    return None if number is None else int(number)


def _number(entries: Entries, name: str, default: float) -> float:
    number = entries.number(name)
    return default if number is None else number


def _limits(entries: Entries | None) -> Limits:
    if entries is None:
        return Limits()
    none = Limits()
    return Limits(
        timeout_s=_number(entries, "timeoutSeconds", none.timeout_s),
        max_input_chars=_whole(entries, "inputCharacters") or none.max_input_chars,
        max_output_tokens=_whole(entries, "outputTokens") or none.max_output_tokens,
        requests_per_minute=_whole(entries, "requestsPerMinute"),
        concurrent=_whole(entries, "concurrent"),
        attempts=_whole(entries, "attempts") or none.attempts,
        max_cost=entries.number("maxCost"),
        input_price=_number(entries, "inputPrice", none.input_price),
        output_price=_number(entries, "outputPrice", none.output_price),
    )


def _decoding(entries: Entries | None, limits: Limits) -> Decoding:
    """What is not said is the usual value, or the maximum where that is less."""
    none = Decoding()
    if entries is None:
        return replace(none, max_tokens=min(none.max_tokens, limits.max_output_tokens))
    max_temperature = _number(entries, "maxTemperature", none.max_temperature)
    max_top_p = _number(entries, "maxTopP", none.max_top_p)
    return Decoding(
        strategy=Strategy(entries.text("strategy") or none.strategy),
        temperature=_number(entries, "temperature", min(none.temperature, max_temperature)),
        max_temperature=max_temperature,
        top_p=_number(entries, "topP", min(none.top_p, max_top_p)),
        max_top_p=max_top_p,
        max_tokens=_whole(entries, "maxTokens") or min(none.max_tokens, limits.max_output_tokens),
        n_max=_whole(entries, "maxChoices") or none.n_max,
        seed=_whole(entries, "seed"),
        n_failures=_whole(entries, "failures") or none.n_failures,
        min_legal=_number(entries, "minLegal", none.min_legal),
        min_legal_mass=_number(entries, "minLegalMass", none.min_legal_mass),
        n_exact=_whole(entries, "exactFailures") or none.n_exact,
        best=_best(entries.entries("best")),
    )


def _best(entries: Entries | None) -> Best | None:
    if entries is None:
        return None
    on_error = OnRewardError(entries.text("onError") or OnRewardError.REFUSE)
    return Best(_whole(entries, "of") or 0, entries.text("reward") or "", entries.text("digest") or "", on_error)


def _retrieval(entries: Entries) -> Retrieval:
    sources = tuple(str(leaf.value) for leaf in entries.leaves("sources"))
    return Retrieval(_whole(entries, "depth") or 0, sources)
