"""pytest-benchmark's saving: its files made complete and small, and saved where it is off itself.

pytest-benchmark saves what it timed. Under `--benchmark-disable` and pytest-xdist it times nothing and
saves nothing, and a case whose timing was interrupted it leaves out. What dlbench recorded is kept all
the same: in the same folder, under the same name, in the same shape, with a table of its own in
`pytest-benchmark compare`, in which every time is 0 and was measured 0 times.
"""

from __future__ import annotations

import json
from contextlib import nullcontext
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence
    from contextlib import AbstractContextManager

    import pytest

    from dlbench.history.record import Record

NOT_TIMED = "not timed"
"""The group of cases without timings, and what stands for their outliers."""

STATS = (
    *("min", "max", "mean", "stddev", "rounds", "median", "iqr", "q1", "q3", "iqr_outliers"),
    *("stddev_outliers", "outliers", "ld15iqr", "hd15iqr", "ops", "total", "iterations"),
)


def is_asked_for(config: pytest.Config) -> bool:
    """Return whether this run is to be saved, by pytest-benchmark's own options."""
    options = ("benchmark_save", "benchmark_autosave", "benchmark_json")
    return any(config.getoption(name, None) for name in options)


def is_left_to_us(config: pytest.Config) -> bool:
    """Return whether pytest-benchmark is off, so that it will save nothing."""
    disabled = config.getoption("benchmark_disable", False)
    enabled = config.getoption("benchmark_enable", False)
    return config.getoption("dist", "no") != "no" or bool(disabled and not enabled)


def turn_to_save(config: pytest.Config) -> AbstractContextManager[None]:
    """Return a context in which no other session saves in the same folder."""
    from dlbench.history.saving import turn

    storage = _storage(config)
    return nullcontext() if storage is None or not is_asked_for(config) else turn(storage)


def completed(document: dict[str, Any], records: Sequence[Record]) -> None:
    """Add the cases that pytest-benchmark left out of its document, and pack all records.

    Args:
        document: pytest-benchmark's, with our header in it.
        records: all of this run's.
    """
    from dlbench.history.packing import pack

    known = {benchmark.get("fullname") for benchmark in document["benchmarks"]}
    by_case: dict[str, list[Record]] = {}
    for record in records:
        if record["case"] not in known:
            by_case.setdefault(record["case"], []).append(record)
    document["benchmarks"] += [_benchmark(case, some) for case, some in by_case.items()]
    pack(document)


def save(config: pytest.Config) -> list[Path]:
    """Save what was recorded as pytest-benchmark would, and return the paths.

    Its hooks are called as it calls them: ours put the records in, and others what is theirs.

    Raises:
        OSError: no space, or no permission; nothing is left of the file then.
    """
    from pytest_benchmark.utils import get_machine_id

    from dlbench.history.files import write_atomically
    from dlbench.history.saving import save_numbered

    content = json.dumps(_document(config), indent=4).encode()
    paths = []
    if target := config.getoption("benchmark_json"):
        named = target if isinstance(target, (str, Path)) else target.name  # some versions open it
        paths.append(Path(named))
        write_atomically(paths[-1], content)
    name = config.getoption("benchmark_save") or config.getoption("benchmark_autosave")
    storage = _storage(config)
    if name and storage is not None:
        paths.append(save_numbered(content, storage / get_machine_id(), name))
    return paths


def _document(config: pytest.Config) -> dict[str, Any]:
    from pytest_benchmark import __version__

    hook = config.hook
    machine = hook.pytest_benchmark_generate_machine_info(config=config)
    hook.pytest_benchmark_update_machine_info(config=config, machine_info=machine)
    commit = hook.pytest_benchmark_generate_commit_info(config=config)
    hook.pytest_benchmark_update_commit_info(config=config, commit_info=commit)
    document: dict[str, Any] = {
        "machine_info": machine,
        "commit_info": commit,
        "benchmarks": [],
        "datetime": datetime.now(UTC).isoformat(),
        "version": __version__,
    }
    hook.pytest_benchmark_update_json(config=config, benchmarks=[], output_json=document)
    return document


def _benchmark(case: str, records: list[Record]) -> dict[str, Any]:
    from dlbench.history.record import KEY, SCHEMA

    name = case.rsplit("::", 1)[-1]
    return {
        "group": NOT_TIMED,
        "name": name,
        "fullname": case,
        "params": records[0]["params"] or None,
        "param": name.partition("[")[2].removesuffix("]") or None,
        "extra_info": {KEY: {"schema": SCHEMA, "records": records}},
        "options": {},
        "stats": dict.fromkeys(STATS, 0) | {"outliers": NOT_TIMED},
    }


def _storage(config: pytest.Config) -> Path | None:
    """Return the folder in which pytest-benchmark saves; None where it is no folder."""
    from dlbench.errors import RecordError
    from dlbench.history.naming import storage_folder

    try:
        return storage_folder(config.getoption("benchmark_storage", None))
    except RecordError:
        return None
