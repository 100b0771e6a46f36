"""What Schemathesis must know of Porchlight, besides openapi.yaml."""

import json

import schemathesis
from schemathesis import Case, HookContext, Response

# Refusals whose reason no schema can say: a code, or a code and the field that the problem names. Requests that
# openapi.yaml allows may be refused with these, and with no others.
REASONS = {
    "cursor_ahead": "the log has no such position yet",
    "cursor_expired": "the log has this position no longer",
    "cursor_unknown": "the position belongs to another log",
    "empty_upload": "Schemathesis ignores the least length of a binary body",
    "fence_lost": "the lock has ended",
    "invalid_body idempotencyKey": "the header has another key",
    "invalid_body step": "it is at most `steps`",
    "invalid_field": "the bounds of a record's fields are configured",
    "invalid_parameter before": "`after` excludes it",
    "invalid_parameter cursor": "a page of the same list must have given it",
    "invalid_parameter recordId": "it needs a `module`",
    "invalid_parameter sort": "which fields there are is configured",
    "invalid_parameter status": "which values there are is configured",
    "invalid_parameter team": "`scope` must be `team`",
    "invalid_params": "the upload must be there",
    "locked": "someone else has locked the record",
    "read_only_field": "which fields there are is configured",
    "unknown_field": "which fields there are is configured",
    "unknown_module": "which modules there are is configured",
    "unknown_signal": "which signals there are is configured",
    "wrong_offset": "it depends on the output so far",
}


@schemathesis.hook
def before_load_schema(context: HookContext, raw_schema: dict) -> None:
    describe_events(raw_schema["components"]["schemas"])
    forget_waiting(raw_schema["paths"])
    # It would revoke the tokens of this run. The socket tests call it.
    del raw_schema["paths"]["/sessions/revoke"]


def describe_events(schemas: dict) -> None:
    """In OpenAPI 3.1, a stream has the schema of its text. Schemathesis expects that of one event, which may have a
    `retry`, is named `message` where it has no name, and has the last id even where it came without one. The socket
    tests look at names and ids."""
    for text, event in (("StreamText", "StreamMessage"), ("OutputText", "OutputMessage")):
        schemas[text] = {"$ref": f"#/components/schemas/{event}"}
        schemas[event]["properties"]["retry"] = {"type": "integer"}
        for form in schemas[event]["anyOf"]:
            properties = form["properties"]
            if properties.get("id") is False:
                del properties["id"]
            if "event" in properties:
                properties["event"] = {"anyOf": [properties["event"], {"const": "message"}]}


def forget_waiting(paths: dict) -> None:
    """Long polls take up to a minute. Their parameters are left to the socket tests."""
    history = paths["/events"]["get"]
    history["parameters"] = [one for one in history["parameters"] if one.get("name") != "wait"]
    claim = paths["/tasks/claim"]["post"]["requestBody"]["content"]["application/json"]
    del claim["schema"]["properties"]["waitSeconds"]
    del claim["example"]["waitSeconds"]


@schemathesis.hook
def map_body(context: HookContext, body):
    return with_whole_numbers(body)


def with_whole_numbers(value):
    """Writes `1.0` as `1`. JSON Schema takes both for an integer; Porchlight, like most clients, only the latter."""
    if isinstance(value, dict):
        return {name: with_whole_numbers(member) for name, member in value.items()}
    if isinstance(value, list):
        return [with_whole_numbers(item) for item in value]
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return value


@schemathesis.hook
def filter_failure(context: HookContext, failure, case: Case, response: Response) -> bool:
    """Whether this is one: openapi.yaml allows the request, and the refusal has none of the reasons above."""
    if type(failure).__name__ != "RejectedPositiveData":
        return True
    try:
        problem = json.loads(response.content)
    except ValueError:
        return True
    code = problem["code"]
    return code not in REASONS and f"{code} {problem.get('field')}" not in REASONS
