"""Why a standing is what it is: data from which each of its parts can be decided again by hand.

Days are local days; money is in minor units of the reporting currency. What a person set in the place of what the facts
say stands in `overrides` alone: stage, tier, both indexes and posture are what the facts give.
"""
