"""What stages share: params, launching, locks, child processes. No stage itself."""
