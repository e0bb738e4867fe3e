"""Recording rules: series that several alerts and panels share, and series that are compared with an earlier time.

A labelled counter does not exist before its first event. Sums that must be 0 until then end in `or vector(0)`.
"""

from __future__ import annotations

from monitoring.rules.model import Recording

_FEEDS = 'sum by (surface) (rate(recs_requests_total{code="200"}[5m]))'

RECORDINGS = (
    Recording("recs:requests:rate5m", "sum(rate(recs_requests_total[5m])) or vector(0)"),
    Recording("recs:requests:rate1h", "sum(rate(recs_requests_total[1h])) or vector(0)"),
    # Traffic depends on the weekday, so the same hour of last week counts; a system younger than a week uses yesterday.
    Recording("recs:requests:expected1h", "recs:requests:rate1h offset 1w or recs:requests:rate1h offset 1d"),
    Recording(
        "recs:errors:ratio_rate5m",
        '(sum(rate(recs_requests_total{code=~"5.."}[5m])) or vector(0)) / sum(rate(recs_requests_total[5m]))',
    ),
    Recording(
        "recs:request_seconds:p99_rate5m",
        "histogram_quantile(0.99, sum by (surface, le) (rate(recs_request_seconds_bucket[5m])))",
    ),
    # "items" counts failures of the background catalogue refresh, which degrade no answer.
    Recording(
        "recs:degraded:ratio_rate5m",
        'sum by (reason) (rate(recs_degraded_total{reason!="items"}[5m])) '
        '/ on () group_left () sum(rate(recs_requests_total{code="200"}[5m]))',
    ),
    Recording(
        "recs:empty:ratio_rate5m",
        f"(sum by (surface) (rate(recs_empty_total[5m])) or 0 * {_FEEDS}) / {_FEEDS}",
    ),
)
