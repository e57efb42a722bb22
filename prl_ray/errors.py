"""Errors a user can act on. One root; every child is also a standard-library error and survives pickling across Ray."""

from __future__ import annotations


class PrlRayError(Exception):
    """Root of all errors of this project. The message says what is wrong and what to do."""


class ConfigError(PrlRayError, ValueError):
    """A configuration value is unknown, of the wrong type or out of bounds."""


class DataError(PrlRayError, ValueError):
    """A problem set, label set or artifact cannot be read, or holds records that cannot be used."""


class ModelError(PrlRayError, OSError):
    """A model or tokenizer cannot be had, loaded, or is not of the kind that is needed."""


class ResourceError(PrlRayError, RuntimeError):
    """The cluster lacks resources that the configuration asks for."""


class ActorLostError(PrlRayError, RuntimeError):
    """An actor died more often than it may be restarted."""


class LearnerLostError(ActorLostError):
    """A learner rank or an object that it was to read was lost; the group can be started anew from its newest
    checkpoint."""


class OutdatedEngineError(ActorLostError):
    """An engine was restarted and has not loaded the weights that it is to serve."""


class CheckpointError(PrlRayError, RuntimeError):
    """A checkpoint cannot be written or does not belong to this run."""


class RunLockedError(PrlRayError, RuntimeError):
    """Another process works in the same run folder."""


class NotFiniteError(PrlRayError, ArithmeticError):
    """Training met NaN or infinite numbers in several steps in a row."""
