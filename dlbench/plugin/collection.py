"""What is settled between collection and the first test: fewer cases, a checked workload, a header."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from dlbench.errors import DlbenchError
from dlbench.plugin.marker import marked
from dlbench.plugin.options import QUICK_STEPS, Settings, from_here

if TYPE_CHECKING:
    from collections.abc import Iterable

    from dlbench.plugin.gating import Gate

FIXTURES = frozenset({"convergence", "parameters"})


def uses(item: pytest.Item, fixtures: Iterable[str]) -> bool:
    """Return whether a test asks for one of the fixtures."""
    return not set(fixtures).isdisjoint(getattr(item, "fixturenames", ()))


def check_workload(settings: Settings, items: list[pytest.Item]) -> None:
    """Load the workload that the command line names, so that a typo stops the run here.

    Raises:
        pytest.UsageError: it leads to nothing, or to no workload.
    """
    if settings.workload is None or not any(uses(item, ["workload"]) for item in items):
        return
    from dlbench.workloads import load_workload

    try:
        load_workload(settings.workload)
    except DlbenchError as error:
        raise pytest.UsageError(f"--dlbench-workload={settings.workload}: {error}") from error


def keep_few_cases(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Deselect tests marked quick=False, and all but the first and last case of each of the fixtures'."""
    by_test: dict[tuple[object, str], list[pytest.Item]] = {}
    dropped: set[pytest.Item] = set()
    for item in items:
        if not marked(item).get("quick", True):
            dropped.add(item)
        elif uses(item, FIXTURES):
            test = item.parent, getattr(item, "originalname", item.name)
            by_test.setdefault(test, []).append(item)
    for cases in by_test.values():
        dropped.update(cases[1:-1])
    if dropped:
        config.hook.pytest_deselected(items=[item for item in items if item in dropped])
        items[:] = [item for item in items if item not in dropped]


def check_baseline(gate: Gate, items: list[pytest.Item]) -> None:
    """Read the baselines of the modules that use a fixture, so that a damaged one stops the run here.

    Raises:
        pytest.UsageError: a file cannot be read.
    """
    modules = dict.fromkeys(module_of(item) for item in items if uses(item, FIXTURES))
    try:
        gate.check(modules)
    except DlbenchError as error:
        raise pytest.UsageError(str(error)) from error


def module_of(item: pytest.Item) -> str:
    """Return the path of a test's file, from the root folder on, with forward slashes."""
    return item.nodeid.split("::", 1)[0]


def header_lines(
    config: pytest.Config, settings: Settings, gate: Gate, items: list[pytest.Item]
) -> list[str]:
    """Return what is trained on, from how many seeds, and where bounds are off.

    Nothing for `--collect-only`: what it prints is read by other programs.
    """
    if config.option.collectonly or not any(uses(item, FIXTURES) for item in items):
        return []
    backend = os.environ.get("KERAS_BACKEND") or "Keras' default backend"
    parts = [f"keras on {backend}", _device(settings.device), _seeds(settings.seeds)]
    if settings.report:
        parts.append(f"report in {from_here(config, settings.report)}/")
    lines = [f"dlbench: {', '.join(parts)}"]
    if settings.quick:
        lines.append(
            f"dlbench: a quick look: up to {QUICK_STEPS} updates a run, two cases a test, bounds off"
        )
    if settings.engine != "auto":
        lines.append(f"dlbench: engine {settings.engine}")
    if settings.workload:
        lines.append(
            f"dlbench: workload {settings.workload}; bounds and gate of tests that use it are off"
        )
    return [*lines, *_gate_lines(settings, gate)]


def _gate_lines(settings: Settings, gate: Gate) -> list[str]:
    """Return what is gated, and how, where that is not what everybody expects."""
    if settings.accept:
        return ["dlbench: accepting: this run becomes the baseline; the gate fails nothing"]
    if settings.quick or settings.gate == "off":
        return ["dlbench: the gate is off"] if settings.gate == "off" else []
    if not gate.active:
        return [
            "dlbench: NO BASELINE: nothing is compared with anything; --dlbench-accept makes one"
        ]
    words = [f"gate {settings.gate}"] if settings.gate != "auto" else []
    words += [f"expecting {settings.expect} at most"] if settings.expect else []
    return [f"dlbench: {', '.join(words)}"] if words else []


def _seeds(seeds: tuple[int, ...]) -> str:
    first = f" from {seeds[0]}" if seeds[0] else ""
    return f"{len(seeds)} seed{'s' if len(seeds) > 1 else ''}{first}"


def check_device(settings: Settings, items: list[pytest.Item]) -> None:
    """Find the device that the command line names, so that a missing one stops the run here.

    Raises:
        pytest.UsageError: PyTorch sees no such device.
    """
    if not (settings.device or "").startswith("cuda") or not any(uses(i, FIXTURES) for i in items):
        return
    import torch

    count = torch.cuda.device_count()
    number = int((settings.device or "").partition(":")[2] or 0)
    if number >= count:
        raise pytest.UsageError(
            f"--dlbench-device={settings.device}: PyTorch sees {count} CUDA devices; "
            "use cpu, or a PyTorch build for your GPU"
        )


def _device(chosen: str | None) -> str:
    import torch

    from dlbench.backend import accelerator

    threads = torch.get_num_threads()
    # As Keras chooses, which need not be loaded yet (`keras/src/backend/torch/core.py`).
    found = accelerator()
    there = found.type if found and found.type in {"mps", "cuda", "xpu"} else "cpu"
    device = chosen or os.environ.get("KERAS_TORCH_DEVICE") or there
    return f"{device} ({threads} thread{'s' if threads > 1 else ''})"
