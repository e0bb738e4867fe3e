"""LambdaMART: the trees, when they stop, how many seeds are summed, and the search for their parameters."""
