"""Which HTTP statuses may pass by themselves."""

# What a server says of now, not of the request: a slow request, a wrong connection, too early, too many.
_PASSING = frozenset({408, 421, 425, 429})
# It does not do what was asked, or not in this version of HTTP, and will not later.
_FINAL = frozenset({501, 505})


def may_pass(status: int) -> bool:
    """Whether the same request may fare better later: 408, 421, 425, 429 and 5xx but 501 and 505."""
    return status in _PASSING or (status >= 500 and status not in _FINAL)
