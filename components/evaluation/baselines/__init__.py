"""First-class baselines (R7): each is searched on validation as fairly as the recommender is."""
