"""What a service stands on: functions to call, nothing to inherit from, no business word."""
