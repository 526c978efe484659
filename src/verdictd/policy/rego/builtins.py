"""The built-in functions that a policy may call, with the number of their arguments, and why others may not.

A decision must depend on the input, the reference and the policy alone: the same three give the same answer on every
machine and at any time, and nothing leaves the process. So nothing here does I/O, reads the clock, or uses chance. Time
comes in as part of the input. A name that stands nowhere here is refused as well.

`REPEATABLE` has those that are known to compute their result of their arguments alone, and to do nothing else: what a
policy of only these decided about an input may be remembered. A policy that calls any other is asked each time.
"""

from types import MappingProxyType

REPEATABLE = MappingProxyType(
    {
        # numbers and bits
        "abs": 1, "ceil": 1, "floor": 1, "round": 1, "numbers.range": 2, "numbers.range_step": 3,
        "bits.and": 2, "bits.lsh": 2, "bits.negate": 1, "bits.or": 2, "bits.rsh": 2, "bits.xor": 2,
        "to_number": 1, "format_int": 2, "units.parse": 1, "units.parse_bytes": 1,
        # collections
        "count": 1, "max": 1, "min": 1, "product": 1, "sort": 1, "sum": 1,
        "array.concat": 2, "array.reverse": 1, "array.slice": 3, "intersection": 1, "union": 1,
        "object.filter": 2, "object.get": 3, "object.keys": 1, "object.remove": 2, "object.subset": 2,
        "object.union": 2, "object.union_n": 1, "walk": 1, "graph.reachable": 2, "graph.reachable_paths": 2,
        # strings
        "concat": 2, "contains": 2, "endswith": 2, "indexof": 2, "indexof_n": 2, "lower": 1, "replace": 3,
        "split": 2, "sprintf": 2, "startswith": 2, "strings.any_prefix_match": 2, "strings.any_suffix_match": 2,
        "strings.count": 2, "strings.replace_n": 2, "strings.reverse": 1, "substring": 3, "trim": 2,
        "trim_left": 2, "trim_prefix": 2, "trim_right": 2, "trim_space": 1, "trim_suffix": 2, "upper": 1,
        "glob.match": 3,
        "regex.find_all_string_submatch_n": 3, "regex.find_n": 3, "regex.is_valid": 1, "regex.match": 2,
        "regex.replace": 3,
        "semver.compare": 2, "semver.is_valid": 1, "uuid.parse": 1,
        "net.cidr_contains": 2, "net.cidr_expand": 1, "net.cidr_is_valid": 1,
        # encodings
        "base64.decode": 1, "base64.encode": 1, "base64.is_valid": 1, "base64url.decode": 1, "base64url.encode": 1,
        "base64url.encode_no_pad": 1, "hex.decode": 1, "hex.encode": 1, "json.filter": 2, "json.is_valid": 1,
        "json.marshal": 1, "json.marshal_with_options": 2, "json.patch": 2, "json.unmarshal": 1,
        "urlquery.encode": 1, "urlquery.encode_object": 1,
        # times that are given, not read from the clock
        "time.parse_duration_ns": 1, "time.parse_rfc3339_ns": 1,
        # types
        "is_array": 1, "is_boolean": 1, "is_null": 1, "is_number": 1, "is_object": 1, "is_set": 1, "is_string": 1,
        "type_name": 1,
    }
)  # fmt: skip

ALLOWED = MappingProxyType(
    {
        **REPEATABLE,
        # They take a time zone by its name, and "Local" is that of the environment, which the worker process is given.
        "time.add_date": 4, "time.clock": 1, "time.date": 1, "time.diff": 2, "time.parse_ns": 2, "time.weekday": 1,
        # leaves a note for whoever traces the engine, which nobody does here; old policies have it
        "trace": 1,
    }
)  # fmt: skip

_NOTES = "it writes to the log, where evidence does not belong"
_SCHEMA = "a schema may point to documents elsewhere"
_DIFFERENT = "this engine computes something else than Open Policy Agent for some arguments"

REFUSED = MappingProxyType(
    {
        "http.send": "it uses the network",
        "net.lookup_ip_addr": "it uses the network",
        "opa.runtime": "it reads the environment",
        "time.now_ns": "it reads the clock: the same evidence must give the same decision; compare dates of the input",
        "rand.intn": "it uses chance",
        "uuid.rfc4122": "it uses chance",
        "print": _NOTES,
        "json.match_schema": _SCHEMA,
        "json.verify_schema": _SCHEMA,
        **dict.fromkeys(
            (
                "glob.quote_meta",
                "json.remove",
                "regex.split",
                "regex.template_match",
                "time.format",
                "urlquery.decode",
                "urlquery.decode_object",
                "yaml.is_valid",
                "yaml.marshal",
                "yaml.unmarshal",
            ),
            _DIFFERENT,
        ),
    }
)

INSTEAD = MappingProxyType(
    {
        "all": "use `every`, or count what does not hold",
        "any": "use `some`, or `[_]`",
        "re_match": "use regex.match",
        "set_diff": "use the operator -",
        "cast_array": "use a comprehension",
        "cast_set": "use a comprehension",
        "cast_string": "use is_string",
        "cast_boolean": "use is_boolean",
        "cast_null": "use is_null",
        "cast_object": "use is_object",
    }
)
"""What to write for functions that OPA has, or had, and this engine has not."""
