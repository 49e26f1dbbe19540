"""Findings for the tools of a pipeline: SARIF for code scanning, JUnit for the lists of failed tests of CI systems."""
