"""The authorization: kickoff, plan, package, verification, what changed."""
