"""What the benchmarks against a real WebUI share, and the programs that its own Python runs for them."""
