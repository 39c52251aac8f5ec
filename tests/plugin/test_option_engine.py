"""`--dlbench-engine`, `--dlbench-compile`, `--dlbench-device`: who trains, how, and where."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import torch

if TYPE_CHECKING:
    from tests.conftest import Suite

ASKED = """
    import dlbench.engines

    @pytest.fixture(autouse=True)
    def asked(monkeypatch):
        def train_sweep(experiments, on_progress, **how):
            print("asked:", sorted(how.items()))
            return original(experiments, on_progress)
        original = dlbench.engines.train_sweep
        monkeypatch.setattr(dlbench.engines, "train_sweep", train_sweep)

    def test_asked(convergence):
        convergence(build, **LEARNS)
"""

DEFAULT = {"engine": "auto", "compiling": "auto", "device": None}
CASES = [
    ([], "", {}),
    (["--dlbench-engine=fit"], "", {"engine": "fit"}),
    (["--dlbench-compile=never"], "", {"compiling": "never"}),
    (["--dlbench-device=cpu"], "", {"device": "cpu"}),
    (["--dlbench-device=auto"], "dlbench_device = cpu", {}),
    (
        [],
        "dlbench_engine = fit\ndlbench_compile = never\ndlbench_device = cpu",
        {"engine": "fit", "compiling": "never", "device": "cpu"},
    ),
    (["--dlbench-engine=auto"], "dlbench_engine = fit", {}),
]


@pytest.mark.parametrize(("arguments", "ini", "changed"), CASES, ids=str)
def test_what_the_engine_is_told(
    suite: Suite, arguments: list[str], ini: str, changed: dict[str, object]
) -> None:
    """The options reach the engines, the command line before the ini file."""
    suite.pytester.makeini(f"[pytest]\n{ini}\n")
    suite.write(ASKED)
    ran = suite.run("-s", "--benchmark-disable", *arguments)
    ran.result.assert_outcomes(passed=1)
    assert f"asked: {sorted((DEFAULT | changed).items())}" in ran.output


@pytest.mark.parametrize("where", ["option", "ini"])
@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("engine", "fast", "fit"),
        ("compile", "sometimes", "never"),
        ("device", "gpu", "the device must be auto, cpu, cuda or cuda:N, got 'gpu'"),
    ],
)
def test_a_typo_stops_before_collection(
    suite: Suite, name: str, value: str, words: str, where: str
) -> None:
    """Exit code 4, the name, and what is possible."""
    suite.write("raise SystemError('collected')")
    if where == "ini":
        suite.pytester.makeini(f"[pytest]\ndlbench_{name} = {value}\n")
    arguments = [f"--dlbench-{name}={value}"] if where == "option" else []
    result = suite.pytester.runpytest_inprocess("-p", "no:hypothesispytest", *arguments)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    said = f"{result.stdout}{result.stderr}"
    assert words in said
    assert value in said
    assert "collected" not in said


def test_a_device_that_is_not_there_stops_before_training(
    suite: Suite, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Exit code 4 and a sentence, where a test would train on it; elsewhere nobody asks."""
    monkeypatch.setattr("torch.cuda.device_count", lambda: 1)
    suite.write(ASKED)
    ran = suite.run("--dlbench-device=cuda:1")
    assert ran.result.ret == pytest.ExitCode.USAGE_ERROR
    assert "ERROR: --dlbench-device=cuda:1: PyTorch sees 1 CUDA devices" in ran.output
    suite.write("def test_plain(): pass")
    suite.run("--dlbench-device=cuda:1").result.assert_outcomes(passed=1)


def test_the_device_holds_whatever_keras_would_choose(
    suite: Suite, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing of a run is computed elsewhere, and its record names the device that was asked for."""
    monkeypatch.setattr("keras.src.backend.torch.core.DEFAULT_DEVICE", "meta")  # holds no numbers
    suite.write("def test_trained(convergence): convergence(build, **LEARNS)")
    ran = suite.run("--dlbench-device=cpu")
    ran.result.assert_outcomes(passed=1)
    assert ran.record["environment"]["device"] == "cpu"


def test_the_header_names_the_device_that_keras_will_choose(
    suite: Suite, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Keras takes it from the environment before it looks for an accelerator."""
    monkeypatch.setenv("KERAS_TORCH_DEVICE", "xpu:1")
    suite.write("def test_plain(convergence): pass")
    assert "keras on torch, xpu:1 (" in suite.run().output
    assert "keras on torch, cpu (" in suite.run("--dlbench-device=cpu").output


@pytest.mark.parametrize(("found", "named"), [("mps", "mps"), ("hpu", "cpu"), (None, "cpu")])
def test_the_header_names_the_accelerators_that_keras_knows(
    suite: Suite, monkeypatch: pytest.MonkeyPatch, found: str | None, named: str
) -> None:
    """PyTorch has more kinds than Keras uses."""
    monkeypatch.setattr(
        "dlbench.backend.accelerator", lambda: None if found is None else torch.device(found)
    )
    suite.write("def test_plain(convergence): pass")
    assert f"keras on torch, {named} (" in suite.run().output


def test_a_loop_of_the_users_own_computes_where_it_will(
    suite: Suite, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The device is Keras' choice there, whatever was asked for."""
    monkeypatch.setattr("keras.src.backend.torch.core.DEFAULT_DEVICE", "meta")
    suite.write("def test_loop(convergence): convergence.record(loop, seeds=1)")
    assert suite.run("--dlbench-device=cpu").record["environment"]["device"] == "meta"
