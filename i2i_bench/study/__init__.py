"""Studies with people: the plan and its page, the server that asks, and what answers say."""
