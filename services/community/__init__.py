"""What people do among each other around the company: members, groups, posts, reactions and referrals."""
