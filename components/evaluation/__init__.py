"""How good is it: metrics, baselines, protocols, the release gate and the reports about them."""
