"""Errors as people read them: one line."""

from __future__ import annotations

import errno


def one_line(error: BaseException, lines: int = 1, longest: int = 300) -> str:
    """The first lines of an error's message that say something, joined; its kind where there are none."""
    said = [line.strip() for line in str(error).splitlines() if line.strip()]
    return " ".join(said[:lines])[:longest] or type(error).__name__


def with_kind(error: BaseException) -> str:
    """The first line of an error's message; its type too, where the message alone does not say what happened."""
    text, kind = one_line(error), type(error).__name__
    return text if isinstance(error, (ValueError, ImportError, OSError)) or text == kind else f"{kind}: {text}"


def is_full(error: BaseException) -> bool:
    """Is a full disk the reason?"""
    return isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT)
