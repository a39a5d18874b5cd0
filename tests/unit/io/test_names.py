"""Secrets in URLs, which no message tells."""

import pytest

from eddpm.io.names import masked


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("https://example.org/a@b/weights.pt", "https://example.org/a@b/weights.pt"),
        ("https://me:pass@example.org/weights.pt", "https://***@example.org/weights.pt"),
        ("https://token@example.org:8443/weights.pt", "https://***@example.org:8443/weights.pt"),
        ("https://me:p@ss@example.org/weights.pt", "https://***@example.org/weights.pt"),
        ("https://example.org/w.pt?X-Amz-Signature=abc&token=d", "https://example.org/w.pt?***"),
        ("https://example.org/w.pt?abc#d", "https://example.org/w.pt?***"),
        ("https://example.org?abc", "https://example.org?***"),
        (
            "Max retries exceeded with url: /w.pt?token=d (Caused by x)",
            "Max retries exceeded with url: /w.pt?*** (Caused by x)",
        ),
        (
            "403 for url: https://me:pass@a.org/w?b=c and ftp://x@y",
            "403 for url: https://***@a.org/w?*** and ftp://***@y",
        ),
        ("is it the right file? else #2", "is it the right file? else #2"),
    ],
)
def test_names_passwords_and_all_after_a_question_mark_are_masked(text, shown):
    assert masked(text) == shown
