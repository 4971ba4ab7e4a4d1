"""Side-by-side measurements of this circusd and of other supervisors: ``python -m benchmarks``. See README.md."""
