"""Duplicates in a collection, found from the sound itself, and files without music."""

from ostinato.datasets.audit.copies import join_copies
from ostinato.datasets.audit.find import (
    NEAR,
    SPEC,
    AuditResult,
    Pair,
    Problem,
    audit_corpus,
    audit_folder,
    find_leaks,
)

__all__ = [
    "NEAR",
    "SPEC",
    "AuditResult",
    "Pair",
    "Problem",
    "audit_corpus",
    "audit_folder",
    "find_leaks",
    "join_copies",
]
