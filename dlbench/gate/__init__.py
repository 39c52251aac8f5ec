"""The gate: verdicts on records, taken against an accepted baseline.

`entry` is what is compared of a case, `rules` what its test says of that. `judging` gives a case its
verdict, `comparisons` and `rounding` test for it, `incomparable` refuses, `wording` says it, `suite`
looks at all of them. `baseline` and `text` are the files of accepted entries, `accepting` alone
changes them (`drift` and `blind` advise it, under a `lock`); `recorded` is what rides on a record.

Verdicts receive entries, not files, and know nothing of pytest.
"""

from __future__ import annotations

from typing import Literal

Mode = Literal["auto", "off", "lenient", "strict"]
"""What fails: `--dlbench-gate`; the table is in `dlbench.gate.suite`."""

Expect = Literal["equivalent", "rounding", "identical"]
"""The most that a change is expected to do: `--dlbench-expect`."""
