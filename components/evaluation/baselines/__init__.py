"""The baselines (R7). Their settings are searched on the validation span, as for the recommender."""
