"""Why a standing is what it is: data from which each of its parts can be decided again by hand.

Days are local days; money is in minor units of the reporting currency. What a person set in the place of what the facts
say stands in `overrides`: stage, tier, bands and posture are what would hold without. A number that is set (`as_set`)
stands beside what the facts give of it; tier, level, bands and profit follow from it.
"""
