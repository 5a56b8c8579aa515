"""Faults that are really injected into real runs: make faults."""
