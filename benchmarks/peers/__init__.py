"""Scripts that run other projects' tools on the same files; each needs the environment that `make peers` builds."""
