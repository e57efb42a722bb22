"""The server's interface as an OpenAPI document, made from the same classes that requests and answers are made of."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import MISSING, Field, fields
from importlib.metadata import PackageNotFoundError, version
from typing import get_args, get_type_hints

from . import stdio
from .limits import Limits
from .suite import FIELDS, MOST_SECONDS, Kind
from .verdict import Status, Verdict

_TYPES = {int: "integer", float: "number", str: "string", bool: "boolean"}
_ANSWERS = {
    "200": "The answer.",
    "400": "The request makes no sense; says why.",
    "411": "The body has no Content-Length.",
    "413": "The body is too large.",
    "504": "No room in the queue, or no sandbox was free in time: try again.",
}


def document() -> dict[str, object]:
    """The document: plain JSON."""
    return {
        "openapi": "3.1.0",
        "info": {"title": "sandbox_workers", "version": _version(), "description": (__package__ or "")},
        "paths": {
            "/verify": _post("Judge a program by a test suite.", "VerifyRequest", "Verdict"),
            "/run_code": _post("Run a program once, as Sandbox Fusion does.", "RunCodeRequest", "object"),
            "/submit": _post("Judge a completion, as Sandbox Fusion does.", "SubmitRequest", "object"),
            "/health": _get("Whether the server lives, and how many requests wait.", "application/json"),
            "/metrics": _get("Counters in Prometheus' text format.", "text/plain"),
            "/openapi.json": _get("This document.", "application/json"),
        },
        "components": {"schemas": _schemas()},
    }


def _version() -> str:
    for name in ("sandbox_workers", "prl_ray"):
        try:
            return version(name)
        except PackageNotFoundError:
            continue
    return "0"


def _post(summary: str, request: str, answer: str) -> dict[str, object]:
    bodies = {"application/json": {"schema": _reference(request)}}
    answers: dict[str, dict[str, object]] = {code: {"description": text} for code, text in _ANSWERS.items()}
    answers["200"]["content"] = {"application/json": {"schema": _reference(answer)}}
    client = {
        "name": "X-Client-Id",
        "in": "header",
        "schema": {"type": "string"},
        "description": "Clients are served in turn. Without this header a client is its network address.",
    }
    return {
        "post": {
            "summary": summary,
            "parameters": [client],
            "requestBody": {"required": True, "content": bodies},
            "responses": answers,
        }
    }


def _get(summary: str, kind: str) -> dict[str, object]:
    return {"get": {"summary": summary, "responses": {"200": {"description": "OK.", "content": {kind: {}}}}}}


def _reference(name: str) -> dict[str, str]:
    return {"type": "object"} if name == "object" else {"$ref": f"#/components/schemas/{name}"}


def _schemas() -> dict[str, object]:
    text, whole = {"type": "string"}, {"type": "integer"}
    texts = {"type": "array", "items": text}
    known = {
        "kind": {"type": "string", "enum": list(get_args(Kind)), "default": "assert"},
        "tests": texts,
        "cases": {"type": "array", "items": {}},
        "literals": {"type": "boolean"},
        "objects": {"type": "boolean"},
        "checker": {
            "type": ["string", "object"],
            "description": "A C++ source, or source, language and files.",
        },
        "time_limit_s": {"type": "number", "minimum": 0, "maximum": MOST_SECONDS},
        "compare": {**text, "description": ", ".join(stdio.RULES), "default": stdio.DEFAULT},
    }
    suite = {name: known.get(name, text) for name in sorted(FIELDS)}
    verify = {
        "program": text,
        "suite": _reference("TestSuite"),
        "limits": _reference("Limits"),
        "language": {**text, "default": "python"},
        "stop_at_first_failure": {"type": "boolean", "default": True},
    }
    run = {
        "code": text,
        "language": text,
        "stdin": {"type": ["string", "null"]},
        "run_timeout": {"type": "number"},
        "memory_limit_MB": whole,
        "limits": _reference("Limits"),
    }
    submit = {"id": {}, "dataset": text, "completion": text, "config": {"type": "object"}}
    return {
        "TestSuite": _object(suite, closed=True),
        "VerifyRequest": _object(verify, ("program", "suite")),
        "RunCodeRequest": _object(run, ("code", "language")),
        "SubmitRequest": _object(submit, ("completion", "config")),
        "Limits": _of(Limits),
        "Verdict": _of(Verdict),
    }


def _object(
    properties: Mapping[str, object], required: tuple[str, ...] = (), *, closed: bool = False
) -> dict[str, object]:
    schema: dict[str, object] = {"type": "object", "properties": properties, "required": list(required)}
    return {**schema, "additionalProperties": False} if closed else schema


def _of(kind: type[Limits] | type[Verdict]) -> dict[str, object]:
    """The schema of a dataclass of plain fields."""
    hints = get_type_hints(kind)
    return _object({field.name: _field(field, hints[field.name]) for field in fields(kind)}, closed=True)


def _field(field: Field[object], hint: object) -> dict[str, object]:
    if hint is Status:
        return {"type": "string", "enum": [status.value for status in Status]}
    kinds = [_TYPES.get(part, "null") for part in get_args(hint) or (hint,)]
    schema: dict[str, object] = {"type": kinds[0] if len(kinds) == 1 else kinds}
    return schema if field.default is MISSING else {**schema, "default": field.default}
