"""Where rows come from: a protocol, then one file per engine. Only an engine imports its library."""
