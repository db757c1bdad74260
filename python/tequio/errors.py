"""What goes wrong."""


class Error(RuntimeError):
    """A job, or a cluster, failed. status is that of the C library, and the exit code of the command: see the README."""

    def __init__(self, message, status=1, rank=-1):
        super().__init__(message)
        self.status = status
        self.rank = rank

    def __reduce__(self):
        return type(self), (self.args[0], self.status, self.rank)


class Cancelled(Error):
    """A callback, another rank, or a signal ended the job."""


class RemoteError(Exception):
    """The traceback of an exception where it was raised, as the __cause__ of that exception here."""

    def __init__(self, traceback):
        super().__init__(traceback)
        self.traceback = traceback

    def __str__(self):
        return "\n" + self.traceback
