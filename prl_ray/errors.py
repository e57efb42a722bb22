"""Errors that a user can act on. Each is also a standard-library error and survives pickling across Ray."""

from __future__ import annotations


class PrlRayError(Exception):
    """Root of all errors of this project. The message says what is wrong and what to do."""


class ConfigError(PrlRayError, ValueError):
    """A configuration value is unknown, of the wrong type or out of bounds."""


class DataError(PrlRayError, ValueError):
    """A problem set, label set or artifact cannot be read, or holds records that cannot be used."""


class ModelError(PrlRayError, OSError):
    """A model or tokenizer cannot be fetched or loaded, or has the wrong kind."""


class ResourceError(PrlRayError, RuntimeError):
    """The cluster lacks resources that the configuration asks for."""


class ActorLostError(PrlRayError, RuntimeError):
    """An actor died more often than it may be restarted."""


class LearnerLostError(ActorLostError):
    """A learner rank, or an object that it needed, was lost. The group can be restarted from the newest checkpoint."""


class OutdatedEngineError(ActorLostError):
    """A restarted engine has not loaded the current weights."""


class CheckpointError(PrlRayError, RuntimeError):
    """A checkpoint cannot be written, or belongs to other settings."""


class StorageError(PrlRayError, OSError):
    """A folder behind a URL cannot be read or written, or holds damaged files."""


class RunLockedError(PrlRayError, RuntimeError):
    """Another process uses the same run folder."""


class NotFiniteError(PrlRayError, ArithmeticError):
    """Several consecutive steps had NaN or infinite values."""
