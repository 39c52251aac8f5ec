"""The notebook's door: benchmark tests that are defined in a notebook's cells, played by pytest.

```python
from dlbench.notebook import player

play = player("benchmarks/test_batch_size.py", "--dlbench-seeds=5")

def test_mine(convergence, workload):
    assert convergence(workload, learning_rate=0.1, epochs=5).regime == "converged"

mine = play(test_mine)   # trains: fixtures, parameters and bounds as in any pytest run
mine                     # the table of its cases
mine.show()              # the report's figures
mine.curves              # a tidy frame: a row a case, metric, seed and point
```

`dlbench report RUN --format ipynb` writes such notebooks from a benchmark module.
"""

from __future__ import annotations

import os
import sys
import tempfile
from contextlib import chdir
from dataclasses import dataclass
from inspect import unwrap
from pathlib import Path, PurePosixPath
from types import ModuleType
from typing import TYPE_CHECKING, Any, TypeAlias

import pytest

from dlbench.backend import choose_keras_backend
from dlbench.errors import NotFoundError

if TYPE_CHECKING:
    from collections.abc import Callable

    import pandas as pd

    from dlbench.history.run import Run
    from dlbench.report.study import Study
    from dlbench.report.summary import Summary

    Test: TypeAlias = Callable[..., Any] | type

SETTINGS = (
    "-q", "-p", "no:cacheprovider", "--no-summary", "--benchmark-quiet", "--dlbench-gate=off",
    "-o", "addopts=", "-o", "dlbench_report=", "-o", "filterwarnings=ignore",
)  # fmt: skip
"""Nothing is written beside a notebook; no option of the repository sends tests to other processes,
where the cells are not known, or makes an error of a warning that the kernel itself is in."""


def player(file: str, *options: str, threads: int | None = None) -> Callable[..., Played]:
    """Return a function that plays tests as if they stood in a file of a repository.

    Its `conftest.py`, its settings and the modules beside it apply. The file is looked for from here
    upwards; where it is not there, the tests are played without them.

    Args:
        file: relative to the repository, with forward slashes.
        options: pytest's, such as `--dlbench-seeds=5`.
        threads: for PyTorch, where `OMP_NUM_THREADS` does not say; by default one a core.
    """
    choose_keras_backend()
    if threads is not None:
        os.environ.setdefault("OMP_NUM_THREADS", str(threads))
    here = Path.cwd()
    found = (folder for folder in (here, *here.parents) if folder.joinpath(file).is_file())
    root = next(found, None)
    if root is not None:
        for folder in (root, root.joinpath(file).parent):
            if str(folder) not in sys.path:
                sys.path.append(str(folder))

    def play(*tests: Test) -> Played:
        """Play test functions or classes, and return what came of them.

        A bound that fails is told and stops nothing.

        Raises:
            NotFoundError: pytest found nothing to run, or could not run it; it printed why.
        """
        if root is not None:
            with chdir(root):
                return _played(root / file, tests, options)
        with tempfile.TemporaryDirectory() as folder, chdir(folder):
            path = Path(folder, PurePosixPath(file).name)
            path.touch()
            return _played(path, tests, options)

    return play


@dataclass(frozen=True, slots=True, repr=False)
class Played:
    """What came of some tests: their table, figures and frames."""

    run: Run
    """As `dlbench.read_run` returns one."""
    studies: tuple[Study, ...]

    @property
    def curves(self) -> pd.DataFrame:
        """A row a case, metric, seed and point, with a column for each thing that varies."""
        return _joined([_plain(study.curves, study) for study in self.studies])

    @property
    def seeds(self) -> pd.DataFrame:
        """A row a case and seed, with the numbers people compare."""
        return _joined([_plain(study.seeds, study) for study in self.studies])

    def show(self) -> None:
        """Show the report's figures, and those that the tests handed in."""
        from IPython.display import display

        from dlbench.report.notebook import bundles
        from dlbench.report.notebooks import pictures

        for data, metadata in bundles(pictures(self.studies, self.run.figures)):
            display(data, metadata=metadata, raw=True)  # type: ignore[no-untyped-call]

    def __repr__(self) -> str:
        """Return how the tests ended, in a sentence."""
        return self._summary()["standing"]

    def _repr_markdown_(self) -> str:
        """Return the same and the tables, as the report has them."""
        from dlbench.report.notebook import result

        summary = self._summary()
        texts = [text for analysis in summary["analyses"] for text in analysis["studies"]]
        return result(texts, summary["standing"])

    def _summary(self) -> Summary:
        from dlbench.report.analysis import analyses
        from dlbench.report.summary import summarized

        return summarized(self.run, analyses(self.run))


# ---- within


class _Cells:
    """A plugin for one run: a notebook's cells are the module, and what was gathered is kept."""

    def __init__(self, path: Path, module: ModuleType) -> None:
        self.path = path
        self.module = module
        self.run: Run | None = None

    def pytest_pycollect_makemodule(
        self, module_path: Path, parent: pytest.Collector
    ) -> pytest.Module | None:
        """Take the cells where pytest would import the file."""
        if module_path != self.path:
            return None
        collected: _CellModule = _CellModule.from_parent(parent, path=module_path)
        collected.cells = self.module
        return collected

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Print at once why a test failed; pytest's own summary would print all tables as well."""
        if report.failed:
            sys.stdout.write(f"\n{report.nodeid}\n{report.longreprtext}\n")

    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """Keep what dlbench's plugin gathered, whose door this one does not open, and silence it.

        Its closing table would stand beside the same in Markdown.
        """
        manager = session.config.pluginmanager
        gathered = manager.get_plugin("dlbench-session")
        if gathered is not None:
            self.run = gathered.run()
            manager.unregister(gathered)
            manager.register(ModuleType("silent"), "dlbench-session")  # for who unregisters by name


class _CellModule(pytest.Module):
    cells: ModuleType

    def _getobj(self) -> ModuleType:
        return self.cells


def _played(path: Path, tests: tuple[Test, ...], options: tuple[str, ...]) -> Played:
    from dlbench.report.analysis import analyses

    cells = _Cells(path, _module(path.stem, tests))
    code = pytest.main([str(path), *SETTINGS, *options], plugins=[cells])
    if code == pytest.ExitCode.INTERRUPTED:
        raise KeyboardInterrupt
    if cells.run is None or code not in {pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED}:
        raise NotFoundError(
            f"pytest did not play {', '.join(test.__name__ for test in tests) or 'any test'}: it "
            f"ended with {pytest.ExitCode(code).name.lower()}; what it printed above says why"
        )
    found = tuple(study for analysis in analyses(cells.run) for study in analysis.studies)
    return Played(cells.run, found)


def _module(name: str, tests: tuple[Test, ...]) -> ModuleType:
    """Return a module of everything that the cells define, but of no other tests than these."""
    module = ModuleType(name)
    for test in tests:
        names = getattr(unwrap(test), "__globals__", None) or vars(sys.modules[test.__module__])
        kept = {key: value for key, value in names.items() if not key.lower().startswith("test")}
        vars(module).update(kept | {"__name__": name, "__doc__": None})
    for test in tests:
        setattr(module, test.__name__, test)
    return module


def _plain(frame: pd.DataFrame, study: Study) -> pd.DataFrame:
    """Return a study's frame whose factors have their own names, and numbers where they are some."""
    result = frame.copy()
    for factor in study.factors + study.following:
        if factor.name not in result:
            levels = result.pop(factor.column)
            numbers = dict(zip(factor.levels, factor.numbers or (), strict=False))
            result.insert(0, factor.name, levels.map(numbers) if numbers else levels)
    return result


def _joined(frames: list[pd.DataFrame]) -> pd.DataFrame:
    import pandas as pd

    return pd.concat(frames, ignore_index=True) if frames else pd.DataFrame()
