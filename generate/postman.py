"""The Postman collection: the story's requests, with test scripts made from the OpenAPI documents.

A step that names no operation of the documents, or a status that the operation does not have, is an
error here; so the collection cannot say what the services do not.
"""

import json
import re
from typing import Any

from generate.openapi import documents, inlined
from generate.steps import Folder, Step
from generate.story import STORY

Json = dict[str, Any]
# Beside the documents: what every service has.
PLAIN = ("/", "/health/live", "/health/ready", "/metrics", "/openapi.json", "/docs")
_SCHEMA = "https://schema.getpostman.com/json/collection/v2.1.0/collection.json"
_ABOUT = """Both services of Storelog, told as a story: run it from top to bottom, in Postman's
collection runner or with `make postman`. Choose the environment first; `apiKey` may stay empty
where no key is configured. Made by `make generate` from the story and the OpenAPI documents."""
_VALUE = re.compile(r'"\{\{(\w+)\}\}"')


def collection() -> Json:
    """Return the collection, format 2.1."""
    named = _schemas()
    variables = [{"key": key, "value": json.dumps(value)} for key, value in named.items()]
    variables.append({"key": "unknownId", "value": "9007199254740991"})
    return {
        "info": {"name": "Storelog", "description": _ABOUT, "schema": _SCHEMA},
        "auth": {"type": "bearer", "bearer": [{"key": "token", "value": "{{apiKey}}"}]},
        "variable": variables,
        "item": [_folder(folder) for folder in STORY],
    }


def environment(command_url: str, query_url: str) -> Json:
    """Return the environment that names both services."""
    values = {"commandUrl": command_url, "queryUrl": query_url}
    shown = [{"key": key, "value": value, "enabled": True} for key, value in values.items()]
    secret = {"key": "apiKey", "value": "", "type": "secret", "enabled": True}
    return {
        "name": "Storelog on this machine",
        "values": [*shown, secret],
        "_postman_variable_scope": "environment",
    }


def operation(step: Step) -> Json | None:
    """Return the step's operation in the documents; None for what every service has."""
    if step.method == "GET" and step.path in PLAIN:
        return None
    shape = _shape(step.path)
    for path, methods in documents()[step.service]["paths"].items():
        if _shape(path) == shape and step.method.lower() in methods:
            found: Json = methods[step.method.lower()]
            return found
    raise LookupError(f"{step.name}: {step.service} has no {step.method} {step.path}")


def _shape(path: str) -> str:
    return re.sub(r"\{\w+\}", "{}", path)


def response_schema(step: Step) -> str | None:
    """Return the name of a response's schema. Raises LookupError for a status that is unknown."""
    described = operation(step)
    if described is None or (step.status == 204 and "204" in described["responses"]):
        return None
    response = described["responses"].get(str(step.status))
    if response is None:
        raise LookupError(f"{step.name}: the document has no status {step.status}")
    (content,) = response["content"].values()
    name: str = content["schema"]["$ref"].rpartition("/")[2]
    return f"{step.service}.{name}"


def _schemas() -> Json:
    wanted = {response_schema(step) for folder in STORY for step in folder.steps} - {None}
    every = documents()
    found = {}
    for key in sorted(str(name) for name in wanted):
        service, _, name = key.partition(".")
        components = every[service]["components"]["schemas"]
        found[f"schema.{key}"] = inlined(components[name], components)
    return found


def _folder(folder: Folder) -> Json:
    return {
        "name": folder.name,
        "description": folder.about,
        "item": [_item(step) for step in folder.steps],
    }


def _item(step: Step) -> Json:
    events = [{"listen": "test", "script": {"type": "text/javascript", "exec": _script(step)}}]
    if step.before:
        script = {"type": "text/javascript", "exec": list(step.before)}
        events.insert(0, {"listen": "prerequest", "script": script})
    return {"name": step.name, "event": events, "request": _request(step), "response": []}


def _request(step: Step) -> Json:
    path = re.sub(r"\{(\w+)\}", r"{{\1}}", step.path)
    host = f"{{{{{step.service}Url}}}}"
    query = "&".join(f"{key}={value}" for key, value in step.query.items())
    headers = dict(step.headers)
    if step.service == "query" and operation(step) is not None:
        headers |= {"Storelog-Wait-For": "{{position}}", "Prefer": "wait=30"}
    request: Json = {
        "method": step.method,
        "header": [{"key": key, "value": value} for key, value in headers.items()],
        "url": {
            "raw": f"{host}{path}" + (f"?{query}" if query else ""),
            "host": [host],
            "path": path.split("/")[1:],
            "query": [{"key": key, "value": value} for key, value in step.query.items()],
        },
    }
    if step.body is not None:
        raw = _VALUE.sub(r"{{\1}}", json.dumps(step.body, indent=2))
        request["header"].append({"key": "Content-Type", "value": "application/json"})
        request["body"] = {"mode": "raw", "raw": raw, "options": {"raw": {"language": "json"}}}
    return request


def _script(step: Step) -> list[str]:
    lines = [
        "const header = name => pm.response.headers.get(name);",
        f'pm.test("the status is {step.status}", () => pm.response.to.have.status({step.status}));',
    ]
    name = response_schema(step)
    if name is not None:
        schema = f'JSON.parse(pm.collectionVariables.get("schema.{name}"))'
        lines += [
            "const body = pm.response.json();",
            f'pm.test("the body is {name}", () => pm.response.to.have.jsonSchema({schema}));',
        ]
    lines += _promises(step)
    for sentence, check in step.checks.items():
        lines.append(f"pm.test({json.dumps(sentence)}, () => {{ {check} }});")
    for variable, value in step.saves.items():
        lines.append(f'pm.collectionVariables.set("{variable}", {value});')
    return lines


def _promises(step: Step) -> list[str]:
    """Return the checks that the contract makes of every such response."""
    if step.problem is not None:
        kind = f'pm.expect(body.type).to.eql("/problems/{step.problem}")'
        return [f'pm.test("it is the problem {step.problem}", () => {kind});']
    said = operation(step)
    if said is None:
        return []
    position = 'Number(header("Storelog-Position"))'
    if step.service == "query":
        wanted, sentence, relation = "position", "it holds what was written", "at.least"
        if "asOf" in step.query:
            wanted = step.query["asOf"].strip("{}")
            sentence, relation = "it is as of the position", "equal"
        value = f'Number(pm.collectionVariables.get("{wanted}"))'
        held = f"pm.expect({position}).to.be.{relation}({value})"
        return [f'pm.test("{sentence}", () => {held});']
    if "ETag" not in said["responses"][str(step.status)]["headers"]:
        return []
    lines = [
        f'pm.test("it names its place in the log", () => pm.expect({position}).to.be.above(0));',
        'pm.test("it names the version", () => '
        'pm.expect(header("ETag")).to.match(/^"[1-9]\\d*"$/));',
        f'pm.collectionVariables.set("position", {position});',
    ]
    if step.status == 201:
        where = f'pm.expect(header("Location")).to.match(/{_escaped(step.path)}\\/\\d+$/)'
        lines.append(f'pm.test("it says where the new entity is", () => {where});')
    return lines


def _escaped(path: str) -> str:
    return path.replace("/", "\\/")
