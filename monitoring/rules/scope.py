"""Limits PromQL to one installation: several can share a Prometheus, each in a namespace of a cluster.

The operator adds the label `namespace` to every scraped series. Rules of an installation select its namespace, because
an aggregation over all series would mix installations, and `absent` could not say which one is missing. Outside of a
cluster there is no such label and no limit.
"""

from __future__ import annotations

import re

# Names of our metrics and recorded series, and of the exporters that the rules read. None is the end of another name.
_SELECTOR = re.compile(r"(?<![\w:\-.])(?P<name>recs[_:][\w:]+|redis_[a-z_]+|up)\b(?!\s*\()(?P<brace>\{)?")


def scoped(text: str, matcher: str) -> str:
    """A text of PromQL, or a template with PromQL, whose selectors all have a matcher.

    Args:
        text: The text; every selector begins with the name of a metric.
        matcher: Such as `namespace='shop'`; "" leaves the text unchanged. It has no double quotes, because templates
            hold PromQL in double quotes.
    """
    if not matcher:
        return text
    closing = {"{": ",", None: "}"}
    return _SELECTOR.sub(lambda found: f"{found['name']}{{{matcher}{closing[found['brace']]}", text)


def of_namespace(namespace: str) -> str:
    """The matcher of an installation; "" outside of a cluster."""
    return f"namespace='{namespace}'" if namespace else ""
