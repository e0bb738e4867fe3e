"""Histories of bundles, features and the log."""

from __future__ import annotations

from tests.monitoring.alert_cases.case import Case

SERVED = 'recs_bundle_info{job="kuberec-transformer",'

DATA = (
    Case(
        "KuberecBundleRefused",
        "a bad bundle is tried every minute",
        {'recs_bundle_failures_total{job="kuberec-predictor"}': "0x5 1+1x30"},
        "11m",
        {"job": "kuberec-predictor"},
        "kuberec-predictor failed to load a bundle or to read the store 5 times in 5 minutes. It keeps serving the "
        "bundle that it holds.",
    ),
    Case("KuberecBundleRefused", "one hiccup", {'recs_bundle_failures_total{job="p"}': "0x5 1x30"}, "11m"),
    Case(
        "KuberecBundlesDiffer",
        "a transformer stays behind",
        {SERVED + 'instance="t",version="b1"}': "1x60", SERVED + 'instance="u",version="b2"}': "1x60"},
        "15m",
        says="2 bundles have been in service together for 15 minutes; a swap takes seconds: b1 on 1; b2 on 1; users "
        "get either one, depending on the replica.",
    ),
    Case(
        "KuberecBundlesDiffer",
        "a predictor that holds the bundle before too",
        {
            SERVED + 'version="b2"}': "1x60",
            'recs_bundle_info{job="kuberec-predictor",version="b1"}': "1x60",
            'recs_bundle_info{job="kuberec-predictor",version="b2"}': "1x60",
        },
        "30m",
    ),
    Case(
        "KuberecBundlesDiffer",
        "a swap",
        {SERVED + 'version="b1"}': "1x10 stale", SERVED + 'version="b2"}': "_x9 1x50"},
        "30m",
    ),
    Case(
        "KuberecStoreEmptied",
        "one of two transformers misses the marker",
        {'recs_store_complete{instance="t"}': "1x60", 'recs_store_complete{instance="u"}': "1x10 0x50"},
        "11m",
        says="A transformer finds no record of features in the online store, or fewer rows than were written. Users "
        "are not recognised; prices and stock keep their last known values.",
    ),
    Case(
        "KuberecStoreEmptied",
        "filled again by a refresh",
        {'recs_store_complete{instance="t"}': "1x10 0x5 1x50"},
        "20m",
    ),
    Case(
        "KuberecFeaturesOld",
        "the last refresh was hours ago",
        {'recs_feature_age_seconds{view="item_stats"}': "7200+60x240"},
        "71m",
        {"view": "item_stats"},
        "The features of item_stats in use were computed 3h 11m 0s ago; a refresh runs every hour. Feeds ignore newer "
        "events, prices and stock.",
    ),
    Case("KuberecFeaturesOld", "refreshed hourly", {'recs_feature_age_seconds{view="item_stats"}': "3500x90"}, "60m"),
    Case(
        "KuberecIndexOld",
        "no release for over a day",
        {'recs_index_age_seconds{job="kuberec-transformer"}': "86400+60x120"},
        "61m",
        says="The served bundle was made 1d 1h 1m 0s ago; a release is due every day. New items are not recommended.",
    ),
    Case("KuberecIndexOld", "a release after 24.5 hours", {"recs_index_age_seconds": "86400+60x30 0+60x90"}, "90m"),
    Case(
        "KuberecLogRowsLost",
        "the first loss of a server",
        {'recs_log_lost_rows_total{table="impressions",reason="queue_full"}': "_x20 40x60"},
        "20m",
        {"table": "impressions", "reason": "queue_full"},
        "40 rows of impressions were lost within 15 minutes (queue_full). Training and drift do not see them.",
    ),
    Case(
        "KuberecLogRowsLost",
        "a loss long ago",
        {'recs_log_lost_rows_total{table="impressions",reason="queue_full"}': "40x60"},
        "40m",
    ),
    Case(
        "KuberecLogRowsLost",
        "nothing is lost",
        {'recs_log_lost_rows_total{table="impressions",reason="queue_full"}': "0x60"},
        "40m",
    ),
    Case(
        "KuberecLogStuck",
        "the bucket is away for one of two servers",
        {
            'recs_log_rows_total{instance="t",table="impressions"}': "0+100x10 1000x60",
            'recs_log_waiting_rows{instance="t"}': "50x10 100+100x60",
            'recs_log_rows_total{instance="u",table="impressions"}': "0+100x60",
            'recs_log_waiting_rows{instance="u"}': "50x60",
        },
        "30m",
        {"instance": "t"},
        "t has written no row to the log for 10 minutes, and rows are waiting. They stay on its disk until it is full.",
    ),
    Case(
        "KuberecLogStuck",
        "nobody asks",
        {'recs_log_rows_total{table="impressions"}': "9x60", "recs_log_waiting_rows": "0x60"},
        "40m",
    ),
    Case(
        "KuberecEventsRefused",
        "a client posts what is no event",
        {'recs_events_total{outcome="accepted"}': "0+90x30", 'recs_events_total{outcome="refused"}': "0+10x30"},
        "11m",
        says="10% of the posted events were refused or could not be stored. They do not reach features and training.",
    ),
    Case(
        "KuberecEventsRefused",
        "one in a thousand, and many twice",
        {
            'recs_events_total{outcome="accepted"}': "0+1000x30",
            'recs_events_total{outcome="repeated"}': "0+999x30",
            'recs_events_total{outcome="failed"}': "0+1x30",
        },
        "20m",
    ),
)
