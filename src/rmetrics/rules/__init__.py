"""The rules: TOML files that people edit, parsed into typed values and validated as a whole."""

from rmetrics.rules.load import load_rules
from rmetrics.rules.model import ALL, OTHER, UNATTRIBUTED, Rules

__all__ = ["ALL", "OTHER", "UNATTRIBUTED", "Rules", "load_rules"]
