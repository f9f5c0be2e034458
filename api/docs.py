"""The documentation page: the OpenAPI document as plain HTML, without a script, a font or a server of somebody else."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Iterable, Mapping
from html import escape
from typing import Any

_METHODS = ("get", "post", "patch", "put", "delete")

_STYLE = """
:root{color-scheme:light dark;--line:#8884;--soft:#8881;--get:#1769aa;--post:#2e7d32;--patch:#9a6700;--delete:#b3261e}
body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:0 auto;padding:1.5rem}
h1{margin:0}h2{margin:2.5rem 0 .5rem;text-transform:capitalize}
nav a{margin-right:.8rem}
details{border:1px solid var(--line);border-radius:.5rem;margin:.5rem 0}
summary{padding:.6rem .8rem;cursor:pointer;display:flex;gap:.8rem;flex-wrap:wrap;align-items:baseline}
summary:focus-visible{outline:3px solid Highlight}
.body{padding:0 1rem 1rem}
.verb{font:700 .8rem ui-monospace,monospace;min-width:4rem;color:#fff;background:#666;text-align:center;
border-radius:.3rem;padding:.1rem .4rem}
.get{background:var(--get)}.post{background:var(--post)}.patch{background:var(--patch)}.delete{background:var(--delete)}
code,pre{font:.85rem/1.45 ui-monospace,monospace}
pre{background:var(--soft);padding:.7rem;border-radius:.4rem;overflow:auto;max-height:26rem}
table{border-collapse:collapse;width:100%}
td,th{text-align:left;vertical-align:top;border-top:1px solid var(--line);padding:.3rem .6rem .3rem 0}
.about{opacity:.8}
"""

_HASH = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()
CSP = f"default-src 'none'; style-src 'sha256-{_HASH}'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"


def page(document: Mapping[str, Any]) -> tuple[str, str]:
    """HTML of an OpenAPI document, and the Content-Security-Policy it needs."""
    by_tag: dict[str, list[str]] = {}
    for path, item in document["paths"].items():
        for verb in _METHODS:
            if operation := item.get(verb):
                tag = (operation.get("tags") or ["other"])[0]
                by_tag.setdefault(tag, []).append(_operation(path, verb, operation, document))
    sections = "".join(f'<h2 id="{escape(tag)}">{escape(tag)}</h2>{"".join(items)}' for tag, items in by_tag.items())
    links = "".join(f'<a href="#{escape(tag)}">{escape(tag)}</a>' for tag in (*by_tag, "schemas"))
    info = document["info"]
    html = (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        f"<title>{escape(info['title'])} API</title><style>{_STYLE}</style></head><body>"
        f"<h1>{escape(info['title'])} API</h1><p>{escape(info.get('description', ''))}</p>"
        f'<p>Version {escape(info["version"])} · <a href="/openapi.json">openapi.json</a></p><nav>{links}</nav>'
        f'{sections}<h2 id="schemas">schemas</h2>{"".join(_schemas(document))}</body></html>'
    )
    return html, CSP


def _operation(path: str, verb: str, operation: Mapping[str, Any], document: Mapping[str, Any]) -> str:
    about = operation.get("description", "")
    return (
        f'<details><summary><span class="verb {verb}">{verb.upper()}</span><code>{escape(path)}</code>'
        f'<span class="about">{escape(operation.get("summary", ""))}</span></summary><div class="body">'
        f"<p>{escape(about)}</p>{_parameters(operation.get('parameters', ()))}"
        f"<h4>Try it</h4><pre>{escape(curl(path, verb, operation, document))}</pre>"
        f"{_responses(operation.get('responses', {}))}</div></details>"
    )


def _parameters(parameters: Iterable[Mapping[str, Any]]) -> str:
    rows = [
        f"<tr><td><code>{escape(item['name'])}</code></td><td>{escape(item['in'])}</td>"
        f"<td>{escape(_kind(item.get('schema', {})))}</td><td>{escape(item.get('description', ''))}</td></tr>"
        for item in parameters
    ]
    head = "<tr><th>Parameter</th><th>In</th><th>Type</th><th></th></tr>"
    return f"<table>{head}{''.join(rows)}</table>" if rows else ""


def _responses(responses: Mapping[str, Mapping[str, Any]]) -> str:
    parts = []
    for status, item in sorted(responses.items()):
        parts.append(f"<h4>{escape(status)}</h4><p>{escape(item.get('description', ''))}</p>")
        for media_type, content in item.get("content", {}).items():
            if "example" in content:
                shown = content["example"]
                text = shown if isinstance(shown, str) else json.dumps(shown, indent=2, ensure_ascii=False)
                parts.append(f"<p><code>{escape(media_type)}</code></p><pre>{escape(text)}</pre>")
    return "".join(parts)


def curl(path: str, verb: str, operation: Mapping[str, Any], document: Mapping[str, Any]) -> str:
    """A command line for an operation, with the example body where there is one."""
    stream = any("text/event-stream" in item.get("content", {}) for item in operation.get("responses", {}).values())
    words = ["curl", "-N" if stream else "-i"]
    if verb != "get":
        words += ["-X", verb.upper()]
    if operation.get("security"):
        words.append(f'-H "Authorization: Bearer ${"TOKEN" if path.startswith("/v1/whip") else "KEY"}"')
    for media_type, content in operation.get("requestBody", {}).get("content", {}).items():
        words.append(f"-H 'Content-Type: {media_type}'")
        example = _example(content.get("schema", {}), document)
        words.append("--data-binary @body" if example is None else f"-d '{json.dumps(example)}'")
    for name in ("session", "resource", "name"):
        path = path.replace("{" + name + "}", f"${name.upper()}")
    return " ".join([*words, f'"http://127.0.0.1:8000{path}"'])


def _example(schema: Mapping[str, Any], document: Mapping[str, Any]) -> object | None:
    for candidate in (schema, *schema.get("anyOf", ())):
        resolved = candidate
        if "$ref" in candidate:
            resolved = document["components"]["schemas"].get(candidate["$ref"].rpartition("/")[2], {})
        if resolved.get("examples"):
            example: object = resolved["examples"][0]
            return example
    return None


def _schemas(document: Mapping[str, Any]) -> Iterable[str]:
    for name, schema in sorted(document.get("components", {}).get("schemas", {}).items()):
        required = schema.get("required", ())
        rows = "".join(
            f"<tr><td><code>{escape(field)}</code>{'' if field in required else ' (optional)'}</td>"
            f"<td>{escape(_kind(item))}</td><td>{escape(item.get('description', ''))}</td></tr>"
            for field, item in schema.get("properties", {}).items()
        )
        about = escape(schema.get("description", ""))
        yield f'<details id="{escape(name)}"><summary><code>{escape(name)}</code></summary>'
        yield f'<div class="body"><p>{about}</p><table>{rows}</table></div></details>'


def _kind(schema: Mapping[str, Any]) -> str:
    if "$ref" in schema:
        return str(schema["$ref"]).rpartition("/")[2]
    if "anyOf" in schema:
        return " or ".join(_kind(item) for item in schema["anyOf"])
    if "enum" in schema:
        return " | ".join(str(item) for item in schema["enum"])
    kind = str(schema.get("type", "any"))
    if kind == "array":
        return f"array of {_kind(schema['items'])}" if isinstance(schema.get("items"), Mapping) else "array"
    return kind
