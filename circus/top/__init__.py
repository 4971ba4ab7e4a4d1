"""circus-top: a running circusd as a terminal shows it. What is known, how it gets here, and how it looks."""
