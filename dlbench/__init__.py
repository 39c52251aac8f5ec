"""dlbench: does training still work?"""
