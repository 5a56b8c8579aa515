"""Evaluation: tasks, protocols, statistics and reports."""
