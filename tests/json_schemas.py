"""A check of values against the JSON Schemas in docs/, as far as these use the language."""

TYPES = {
    "object": dict,
    "array": list,
    "string": str,
    "integer": int,
    "number": (int, float),
    "boolean": bool,
    "null": type(None),
}
KEYWORDS = {
    "$schema", "$defs", "title", "description", "$ref", "anyOf", "const", "enum",
    "type", "required", "properties", "additionalProperties", "items",
}  # fmt: skip


def has_type(value, name):
    # To Python a truth value is a number, to JSON it is not.
    return isinstance(value, TYPES[name]) and isinstance(value, bool) == (name == "boolean")


def violations(value, schema, root, place="report"):
    """What of a value breaks a JSON Schema."""
    unknown = set(schema) - KEYWORDS
    assert not unknown, f"the check does not know {unknown}"
    if "$ref" in schema:
        return violations(value, root["$defs"][schema["$ref"].removeprefix("#/$defs/")], root, place)
    if "anyOf" in schema:
        options = [violations(value, option, root, place) for option in schema["anyOf"]]
        return [] if [] in options else options[0]
    if "const" in schema and value != schema["const"]:
        return [f"{place} is {value!r}"]
    if "enum" in schema and value not in schema["enum"]:
        return [f"{place} is {value!r}"]
    allowed = [schema["type"]] if isinstance(schema.get("type"), str) else schema.get("type", [])
    if allowed and not any(has_type(value, name) for name in allowed):
        return [f"{place} is a {type(value).__name__}, not {' or '.join(allowed)}"]
    found = []
    if isinstance(value, dict):
        found += [f"{place} lacks {key}" for key in schema.get("required", []) if key not in value]
        for key, part in schema.get("properties", {}).items():
            if key in value:
                found += violations(value[key], part, root, f"{place}.{key}")
        if "additionalProperties" in schema:
            for key in set(value) - set(schema.get("properties", {})):
                found += violations(value[key], schema["additionalProperties"], root, f"{place}.{key}")
        elif "required" in schema and "properties" in schema:
            found += [f"{place}.{key} is not described" for key in value if key not in schema["properties"]]
    if isinstance(value, list) and "items" in schema:
        for index, item in enumerate(value):
            found += violations(item, schema["items"], root, f"{place}[{index}]")
    return found
