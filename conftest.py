"""What every test in this repository shares: pytest's own tool for testing plugins."""

pytest_plugins = ["pytester"]
