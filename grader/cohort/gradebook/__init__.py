"""The file in which a cohort's submissions, results, overrides and their history are kept.

It is the queue of record too: whatever was killed, whoever opens it next goes on from what it says.
"""

from grader.cohort.gradebook.store import Gradebook, open_gradebook

__all__ = ["Gradebook", "open_gradebook"]
