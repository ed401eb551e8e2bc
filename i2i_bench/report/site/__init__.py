"""The leaderboard as a static page that opens from disk."""
