"""LambdaMART: the trees, when they stop, and how many seeds are summed."""
