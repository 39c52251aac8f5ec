"""The errors dlbench raises, each under the builtin that a caller would catch.

Every message says what was wrong, what was got, what was expected, and the remedy.
A training that diverges is a result, not an error: nothing here is raised for it.
"""

from __future__ import annotations


class DlbenchError(Exception):
    """Anything that dlbench itself refuses; catch this to catch them all."""


class ExperimentError(DlbenchError, ValueError):
    """A workload, a hyperparameter or data that cannot be trained as given."""


class BackendError(DlbenchError, RuntimeError):
    """Keras runs on a backend other than PyTorch."""


class EngineError(DlbenchError, RuntimeError):
    """The engine that was asked for cannot train an experiment."""


class RecordError(DlbenchError, ValueError):
    """A saved run that cannot be read: truncated, foreign, or of a newer schema."""


class BaselineError(DlbenchError, ValueError):
    """A baseline that cannot be read, written or accepted into as it stands."""


class NotFoundError(DlbenchError, LookupError):
    """A name such as `FILE.py:NAME` or `package:name` that leads to nothing."""


class NotAModelError(DlbenchError, TypeError):
    """Something other than a Keras model, or than a function that builds one."""


class UnbuiltModelError(DlbenchError, ValueError):
    """A model, or a layer in it, that has no weights yet."""


class ParameterMismatchError(DlbenchError, RuntimeError):
    """A layer whose closed form and whose variables disagree: one of the two counts is wrong."""


class DownloadError(DlbenchError, OSError):
    """Data that are not on this machine and could not be fetched."""


class GateError(DlbenchError, ValueError):
    """A gate's rules that cannot be meant, or entries that cannot be compared under any rules."""


class ReportError(DlbenchError, FileExistsError):
    """A report that would take the place of a file that is not dlbench's to replace."""
