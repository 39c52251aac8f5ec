"""`convergence.figure(figure, caption)`: pictures of a test's own for the report."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.conftest import Suite

HEAD = """
import pytest
from matplotlib import pyplot as plt
"""


def test_a_figure_travels_as_png_and_is_closed(suite: Suite) -> None:
    """A test that only draws passes without a warning; its picture is kept, its figure closed."""
    suite.write(
        """
        def test_drawn(convergence):
            figure, axes = plt.subplots()
            axes.plot([1, 2])
            convergence.figure(figure, "  A line rises.  ")
            assert plt.get_fignums() == []
        """,
        head=HEAD,
    )
    ran = suite.run("-W", "error")
    ran.result.assert_outcomes(passed=1)
    (figure,) = ran.session.run().figures
    assert figure["case"] == "test_tiny.py::test_drawn"
    assert figure["module"] == "test_tiny.py"
    assert figure["caption"] == "A line rises."
    assert base64.b64decode(figure["png"]).startswith(b"\x89PNG")
    assert ran.records == []


def test_seaborn_grids_and_axes_are_figures_too(suite: Suite) -> None:
    """Whatever has a figure is taken for it: grids of seaborn, axes of matplotlib."""
    suite.write(
        """
        import pandas as pd
        import seaborn as sns

        def test_drawn(convergence):
            frame = pd.DataFrame({"x": [1, 2, 3], "y": [3, 1, 2]})
            convergence.figure(sns.relplot(frame, x="x", y="y"), "A grid.")
            convergence.figure(sns.jointplot(frame, x="x", y="y"), "A joint grid.")
            convergence.figure(plt.subplots()[1], "Axes.")
            assert plt.get_fignums() == []
        """,
        head=HEAD,
    )
    ran = suite.run()
    ran.result.assert_outcomes(passed=1)
    captions = [figure["caption"] for figure in ran.session.run().figures]
    assert captions == ["A grid.", "A joint grid.", "Axes."]


def test_what_is_no_figure_is_refused(suite: Suite) -> None:
    """Something else than a figure, no caption, or a picture too large for a page: said so."""
    suite.write(
        """
        import numpy as np

        @pytest.mark.parametrize("caption", ["", "  ", None])
        def test_caption(convergence, caption):
            with pytest.raises(ValueError, match="needs a caption"):
                convergence.figure(plt.figure(), caption)
            plt.close("all")

        def test_type(convergence):
            with pytest.raises(ValueError, match="expected a matplotlib figure, got str"):
                convergence.figure("picture.png", "A path.")

        def test_size(convergence):
            noise = np.random.default_rng(0).random((900, 900, 3))
            figure = plt.figure(figsize=(9, 9))
            figure.figimage(noise)
            with pytest.raises(ValueError, match="at most 2 fit"):
                convergence.figure(figure, "Noise.")
            assert plt.get_fignums() == []
        """,
        head=HEAD,
    )
    ran = suite.run()
    ran.result.assert_outcomes(passed=5)
    assert ran.session.run().figures == []
