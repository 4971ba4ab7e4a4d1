"""From settings to a running process: command line, environment, credentials, limits, and the system calls."""
