"""Judging policies: accuracy with intervals, paired tests, cost, reports."""
