"""The gate: verdicts on records, taken against an accepted baseline.

`entry` is what is compared of a case, `baseline` the files in which entries are accepted,
`comparisons` the tests, `verdict` their outcome in one word, `suite` the outcome of all cases.
Verdicts receive entries, not files, and know nothing of pytest.
"""
