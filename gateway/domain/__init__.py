"""What the gateway decides: who may do what, which service answers, how answers are put together."""
