"""Events in: what the services publish, taken into the feed."""
