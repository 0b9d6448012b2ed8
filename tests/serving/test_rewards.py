"""Reward models of a server, held against what profiles pin before it serves; and a trained one that chooses."""

import asyncio
import json
import shutil
from datetime import date
from pathlib import Path
from typing import Any

import openai
import pytest

import policykit as pk
from policykit.adapters.reward import FILE, reward_digest
from policykit.bundle import build
from policykit.cli.main import main
from policykit.profiles import digest_of_key, load_keys, load_profiles
from policykit.serving import Deployment, Serving
from policykit.serving.reload_source import BundleSource, BundleWatch
from policykit.serving.rewards import DEVICE, REWARDS, RewardFiles, Rewards
from policykit.serving.run import Files, application, gateway, on_transformers
from tests.serving import drawn
from tests.serving.rewarding import made, named_only, profile
from tests.serving.running import served

torch = pytest.importorskip("torch", reason="a reward model needs torch")
KEYS = f"""\
apiVersion: policykit/v1
kind: Keys
keys:
  - {{id: k, sha256: {digest_of_key(drawn.KEY)}, tenant: acme, profiles: [chosen]}}
"""


def write(folder: Path, text: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "words.policy.yaml").write_text(drawn.POLICY)
    (folder / "chosen.profile.yaml").write_text(text)
    (folder / "test.keys.yaml").write_text(KEYS)
    return folder


def deployment(folder: Path) -> Deployment:
    return Deployment(load_profiles(folder), load_keys(folder / "test.keys.yaml"), model="embedded")


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models") / "helpful"
    made(folder)
    return folder


def refused(rewards: Rewards, folder: Path) -> list[tuple[str, str, str]]:
    with pytest.raises(pk.PolicyError) as raised:
        rewards.prepare(deployment(folder))
    assert all(one.place is not None for one in raised.value.diagnostics)
    return [(one.code, one.message, one.help or "") for one in raised.value.diagnostics]


def test_a_reward_model_that_is_not_there_or_another_one_is_refused_at_the_profile(tmp_path: Path) -> None:
    digest, other = named_only(tmp_path / "helpful"), f"sha256:{'b' * 64}"
    folder = write(tmp_path / "profiles", profile("chosen", other, "exact"))
    ((code, message, help),) = refused(Rewards(RewardFiles()), folder)
    assert (code, help) == ("PK724", "start it with `--reward helpful=FOLDER`")
    files = RewardFiles({"helpful": tmp_path / "helpful"})
    ((code, message, help),) = refused(Rewards(files), folder)
    assert code == "PK724"
    assert digest in message
    assert other in message
    assert "pin this one" in help
    ((code, *_),) = refused(Rewards(RewardFiles({"helpful": tmp_path})), folder)
    assert code == "PK786", "no reward model"


def test_a_reward_model_of_other_policies_is_refused(tmp_path: Path) -> None:
    digest = named_only(tmp_path / "helpful")
    folder = write(tmp_path / "profiles", profile("chosen", digest, "mask"))
    (found,) = deployment(folder).profiles
    plan = deployment(folder).plan(found, "acme")
    rewards = Rewards(RewardFiles({"helpful": tmp_path / "helpful"}), lambda *about: lambda prompt, answers: [0.5])
    data = json.loads((tmp_path / "helpful" / FILE).read_text())

    def changed(**more: Any) -> str:
        (tmp_path / "helpful" / FILE).write_text(json.dumps({**data, **more}))
        return profile("chosen", reward_digest(tmp_path / "helpful"), "mask")

    write(folder, changed(bundle_digest=plan.bundle_digest))
    rewards.prepare(deployment(folder))
    write(folder, changed(bundle_digest="sha256:0"))
    assert [code for code, *_ in refused(rewards, folder)] == ["PK786"]
    featured = {"features": "costs", "weights": {"no-thanks": -1.0}, "bundle_digest": plan.bundle_digest}
    write(folder, changed(**featured, plan_digest="sha256:0"))
    assert [code for code, *_ in refused(rewards, folder)] == ["PK786"]
    write(folder, changed(**featured, plan_digest=plan.digest))
    rewards.prepare(deployment(folder))
    write(folder, changed(**featured, plan_digest=plan.digest) + "clientGrammar: true\n")
    ((code, message, _),) = refused(rewards, folder)
    assert code == "PK724"
    assert "requests bring grammars" in message


def test_a_model_without_numbers_or_for_other_prompts_does_not_get_to_choose(model: Path, tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    shutil.copytree(model, tmp_path / "helpful")
    files, path = RewardFiles({"helpful": tmp_path / "helpful"}), tmp_path / "helpful" / "model.safetensors"
    weights = load_file(path)
    save_file({**weights, "score.weight": weights["score.weight"] * float("nan")}, path, {"format": "pt"})
    folder = write(tmp_path / "profiles", profile("chosen", reward_digest(tmp_path / "helpful"), "mask"))
    ((code, message, _),) = refused(Rewards(files), folder)
    assert (code, "gives no number" in message) == ("PK786", True)
    save_file(weights, path, {"format": "pt"})
    (tmp_path / "helpful" / "chat_template.jinja").write_text("{{ raise_exception('no system here') }}")
    write(folder, profile("chosen", reward_digest(tmp_path / "helpful"), "mask"))
    ((code, message, _),) = refused(Rewards(files), folder)
    assert (code, "no system here" in message) == ("PK786", True)


def test_names_folders_and_the_device_go_by_options_and_by_the_environment() -> None:
    files = RewardFiles.of(["a=x/y", "b=/z=1"], "cuda:1")
    assert files == RewardFiles({"a": Path("x/y"), "b": Path("/z=1")}, "cuda:1")
    assert RewardFiles.read(files.variables()) == files
    assert set(files.variables()) == {REWARDS, DEVICE}
    assert RewardFiles.read({}) == RewardFiles()
    assert RewardFiles().variables() == {}
    for wrong in (["a"], ["=x"], ["a="], ["a=x", "a=y"]):
        with pytest.raises(pk.PolicyError, match="PK721"):
            RewardFiles.of(wrong)


def test_the_command_tells_before_a_model_is_loaded(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = write(tmp_path / "profiles", profile("chosen", f"sha256:{'a' * 64}", "exact"))
    files = ["--profiles", str(folder), "--keys", str(folder), "--log", str(tmp_path / "log")]
    asked = [
        "serve",
        *files,
        "--port",
        "0",
        "--run",
        str(tmp_path / "run"),
        "--engine",
        "transformers",
        "--model",
        "/no/such/model",
    ]
    for named, said in ((None, "PK724"), ("helpful", "PK721"), (f"helpful={tmp_path}", "PK786")):
        assert main([*asked, *(["--reward", named] if named else [])]) == 3
        assert said in capsys.readouterr().err
    assert main([*asked[:5], "--upstream", "http://127.0.0.1:9", "--model", "m"]) == 3
    assert "--reward helpful=FOLDER" in capsys.readouterr().err


def test_a_new_bundle_that_pins_another_model_is_refused_and_the_old_one_served_on(tmp_path: Path) -> None:
    digest = named_only(tmp_path / "helpful")
    folder = write(tmp_path / "profiles", profile("chosen", digest, "mask"))
    rewards = Rewards(RewardFiles({"helpful": tmp_path / "helpful"}), lambda *about: lambda prompt, answers: [0.5])
    serving = Serving(deployment(folder))
    rewards.prepare(serving.deployment)
    serving.before_swap(rewards.prepare)
    (folder / "test.keys.yaml").unlink()
    before, path = serving.deployment, tmp_path / "served.bundle"
    watch = BundleWatch(serving, BundleSource(path, (), 0), today=lambda: date(2026, 1, 1))
    for revision, pinned, codes in ((1, "a" * 64, ("PK724",)), (2, digest.removeprefix("sha256:"), ())):
        (folder / "chosen.profile.yaml").write_text(profile("chosen", f"sha256:{pinned}", "mask"))
        path.write_bytes(build([folder], revision).bundle.render())
        reload = asyncio.run(watch.check(force=True))
        assert reload is not None
        assert reload.codes == codes
        assert (serving.deployment is before) == bool(codes)


def test_a_server_takes_no_new_profiles_that_it_cannot_draw_or_choose_by(tmp_path: Path) -> None:
    digest = named_only(tmp_path / "helpful")
    folder = write(tmp_path / "profiles", drawn.PROFILE % ("chosen", "words", "mask", 3))
    files = Files((folder,), (folder / "test.keys.yaml",), tmp_path / "log", tmp_path / "run")
    app = application(files, gateway("http://127.0.0.1:9", None, "m"))
    app.serving.check(deployment(folder))
    for text, code in ((drawn.PROFILE % ("chosen", "words", "block", 3), "PK722"),
                       (profile("chosen", digest, "mask"), "PK724")):  # fmt: skip
        with pytest.raises(pk.PolicyError, match=code):
            app.serving.check(deployment(write(folder, text)))
    for close in app.closing:
        asyncio.run(close())


def test_a_trained_reward_model_chooses_for_the_client_of_a_served_model(tmp_path: Path) -> None:
    from policykit.adapters.reward_model import RewardModel, Text
    from policykit.training.kinds import rm
    from policykit.training.session import prepare, train
    from tests.training.offline import HEAD, write_training
    from tests.training.test_rm import styled

    text = HEAD.replace("steps: 6, batch: 8", "steps: 2, batch: 4").replace("rate: 0.005", "rate: 0.002")
    train(prepare(rm.KIND, write_training(tmp_path / "training", text, styled(8, 1), styled(4, 2))))
    trained = tmp_path / "training" / "run" / "reward-model"
    folder = write(tmp_path / "profiles", profile("chosen", reward_digest(trained), "exact", of=3))
    keys = (folder / "test.keys.yaml",)
    rewards = RewardFiles.of([f"helpful={trained}"])
    files = Files((folder,), keys, tmp_path / "log", tmp_path / "run", rewards=rewards)
    (tmp_path / "run").mkdir()
    app = application(files, on_transformers("embedded", tmp_path / "run"))
    judge = RewardModel.load(trained)
    with served(app) as url:
        client = openai.OpenAI(base_url=f"{url}/v1", api_key=drawn.KEY, max_retries=0, timeout=60)
        asked, n_compared = drawn.MESSAGES[0]["content"], 0
        for seed in range(1, 9):
            answer = client.chat.completions.create(model="profile:chosen", messages=drawn.MESSAGES, seed=seed)
            (best,) = answer.model_extra["policykit"]["best"]  # type: ignore[index]
            assert (best["reward"], best["digest"], best["of"]) == ("helpful", reward_digest(trained), 3)
            assert len(set(best["scores"])) > 1
            assert best["scores"][best["chosen"]] == max(best["scores"])
            choice = answer.choices[0]
            text = choice.message.content or ""
            if "days" not in text:  # else a rule may have changed what was rewarded
                (reward,) = judge.rewards([Text(asked, text, choice.finish_reason == "stop")])
                assert reward == pytest.approx(max(best["scores"]), abs=1e-4)
                n_compared += 1
                break
        assert n_compared == 1
