"""What community decides: who may write where, when two tellings say the same, and how a referral ends."""
