"""Saved runs: what a record holds, and the only code that reads and writes them."""
