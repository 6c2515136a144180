"""What a service stands on: functions to call, nothing to inherit from, no business word."""

import os

# Before anybody imports numpy, whose library would have the threads of every process wait for each other in a circle:
# the matrices here are small, and the other processors have work of their own.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
