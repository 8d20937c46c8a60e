"""Loaded by Schemathesis (fuzz.toml): how to write numbers in a URL."""

import schemathesis


def whole(values):
    """JSON Schema accepts 127.0 as an integer, but nobody writes it that way in a URL."""
    if not isinstance(values, dict):
        return values
    return {
        name: int(value) if isinstance(value, float) and value.is_integer() else value
        for name, value in values.items()
    }


@schemathesis.hook
def map_path_parameters(context, path_parameters):
    return whole(path_parameters)


@schemathesis.hook
def map_query(context, query):
    return whole(query)
