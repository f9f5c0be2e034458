"""How a process lives: settings, bus, leases, lifecycle, health, log, metrics, tracing."""
