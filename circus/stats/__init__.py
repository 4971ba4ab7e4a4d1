"""circusd-stats: what processes use of the machine, published each second while somebody listens."""
