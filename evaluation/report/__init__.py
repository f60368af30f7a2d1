"""Reports: the run's summary (JSON) and the self-contained HTML pages made from it and from benchmark results."""
