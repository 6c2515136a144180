"""Who the company knows: parties and their identities, what they bought and what came back."""
