"""The mappings of types known by name, by family. type_rules.py maps all other types by their form.

Sources: PostgreSQL docs, "Data Types"; Snowflake docs, "Summary of data types" and "COPY INTO <table>" (Parquet).
"""

from __future__ import annotations

from dataclasses import replace

from pgsnow.model.types.mapping import TypeMapping, as_text, as_variant

WHOLE = "NUMBER(38,0)"
_TO_9999 = "Exact from year 1 to 9999{more}. `infinity`, `-infinity`, BC and later years overflow."
_IDENTIFIER = "Its name as text, as the role's `search_path` shows it."
_OVERLOADED = f"{_IDENTIFIER[:-1]}, and the types of its arguments, because names can be overloaded."
_RANGE = "The range's own text, bounds in ISO form and UTC, infinite ones too."
_JSON_LIMITS = (
    "Numbers are exact to 38 digits. One that a VARIANT would round (more digits, or an exponent that a double cannot"
    " hold exactly) overflows, and so does text of more than 16 MiB."
)


def _same(
    name: str,
    carried: str,
    snowflake: str,
    note: str,
    *,
    read: str = "{c}",
    own_text: str = "",
    conversion: str = "",
) -> TypeMapping:
    return TypeMapping(
        name, read, carried, snowflake, snowflake, own_text=own_text, note=note, conversion=conversion
    )


def _texts(note: str, *names: str) -> tuple[TypeMapping, ...]:
    return tuple(as_text(name, note) for name in names)


_NUMBERS = (
    _same("int2", "int16", WHOLE, "Exact."),
    _same("int4", "int32", WHOLE, "Exact."),
    _same("int8", "int64", WHOLE, "Exact."),
    _same(
        "float4",
        "double",
        "FLOAT",
        "The shortest decimal that Postgres prints, such as 3.4145, as a double, which casts back to the same `real`;"
        " NaN and the infinities too. `real_values: exact` loads the double of the same value, 3.4144999980926514.",
        read="{c}::text::float8",
        own_text="{c}::text",
        conversion="shortest decimal",
    ),
    _same("float8", "double", "FLOAT", "Exact to the bit; NaN and the infinities too."),
    as_text(
        "money",
        "The amount as a number's text, exact, with as many decimals as `lc_monetary` gives it; the currency is lost.",
        read="{c}::numeric::text",
    ),
    _same("bool", "bool", "BOOLEAN", "Exact."),
)
_STRINGS = (
    _same("text", "string", "VARCHAR", "Exact; more than 16 MiB overflow."),
    _same("varchar", "string", "VARCHAR", "Exact; more than 16 MiB overflow."),
    # A cast to text would remove the padding.
    _same(
        "bpchar",
        "string",
        "VARCHAR",
        "`char(n)`: exact, padding included unless `char_padding: trim` removes it; more than 16 MiB overflow.",
        own_text="textin(bpcharout({c}))",
    ),
    _same("name", "string", "VARCHAR", "Exact."),
    as_text("char", 'The one-byte type `"char"`: exact.'),
    replace(as_text("uuid", "Its text, in lower case."), sent="{c}"),
    _same("bytea", "binary", "BINARY", "Exact; more than 8 MiB overflow."),
    *_texts("Its bits as text: exact.", "bit", "varbit"),
)
_TIMES = (
    _same("date", "date32[day]", "DATE", _TO_9999.format(more="")),
    _same("time", "time64[us]", "TIME(6)", "Exact to the microsecond. `24:00` overflows."),
    as_text("timetz", "Its text, with its offset: exact."),
    _same("timestamp", "timestamp[us]", "TIMESTAMP_NTZ(6)", _TO_9999.format(more=", to the microsecond")),
    _same(
        "timestamptz",
        "timestamp[us, tz=UTC]",
        "TIMESTAMP_TZ(6)",
        _TO_9999.format(more=", to the microsecond, in UTC"),
    ),
    as_text("interval", "Its text, such as `1 mon -2 days +03:00:00.000001`: exact, infinite ones too."),
)
_DOCUMENTS = (
    as_variant(
        "json",
        f"{_JSON_LIMITS} Spelling, order and all but the last of equal keys are lost; half of a surrogate pair"
        " overflows.",
        read="{c}",
        duplicates=True,
    ),
    as_variant(
        "jsonb", f"{_JSON_LIMITS} JSON's null and SQL's NULL stay apart.", read="{c}", plain_json=True
    ),
    as_variant("hstore", "An object of texts and nulls: exact.", read="{c}::jsonb::text", plain_json=True),
    as_text("xml", "Its text, as Postgres writes it."),
    as_text("jsonpath", "Its text, as Postgres writes it."),
)
_NETWORK = _texts("Its text: exact.", "inet", "cidr", "macaddr", "macaddr8")
_SHAPES = _texts("Its text: every double exact.", "point", "line", "lseg", "box", "path", "polygon", "circle")
_SEARCH = _texts("Its text: exact.", "tsvector", "gtsvector", "tsquery")
_RANGES = tuple(
    as_text(f"{name}{form}", _RANGE, kind=kind)
    for form, kind in (("range", "r"), ("multirange", "m"))
    for name in ("int4", "int8", "num", "ts", "tstz", "date")
)
_SYSTEM = (
    _same("oid", "int64", WHOLE, "Exact.", read="{c}::int8"),
    *_texts("Its text: exact.", "xid", "xid8", "cid", "tid", "pg_lsn", "pg_snapshot", "txid_snapshot"),
    as_text("regproc", _OVERLOADED, read="{c}::regprocedure::text"),
    as_text("regoper", _OVERLOADED, read="{c}::regoperator::text"),
    *_texts(_OVERLOADED, "regprocedure", "regoperator"),
    *_texts(
        _IDENTIFIER,
        *("regclass", "regcollation", "regtype"),
        *("regrole", "regnamespace", "regconfig", "regdictionary"),
    ),
    *_texts("Its text: exact.", "aclitem", "refcursor", "pg_node_tree", "pg_ndistinct", "pg_dependencies"),
    *_texts("Its text: exact.", "pg_mcv_list", "pg_brin_bloom_summary", "pg_brin_minmax_multi_summary"),
)
_GEOJSON = (
    "GeoJSON text with up to 15 decimals: the SRID, the M coordinate and further digits are lost."
    " `TRY_TO_GEOGRAPHY` or `TRY_TO_GEOMETRY` reads it in Snowflake."
)
_VECTOR = "A JSON array of numbers: exact. `::VECTOR(FLOAT, n)` casts it in Snowflake."
_EXTENSIONS = (
    as_text("citext", "Its text, case kept; Snowflake compares it with case."),
    *_texts("Its text: exact.", "ltree", "lquery", "ltxtquery", "cube", "seg", "isbn", "semver"),
    as_text("geometry", _GEOJSON, read="ST_AsGeoJSON({c}, 15)"),
    as_text("geography", _GEOJSON, read="ST_AsGeoJSON({c}, 15)"),
    as_variant("vector", _VECTOR, read="{c}::text"),
    as_variant("halfvec", _VECTOR, read="{c}::text"),
    as_text("sparsevec", "Its text, such as `{1:0.5,3:2}/5`: exact."),
)

FAMILIES: tuple[tuple[str, tuple[TypeMapping, ...]], ...] = (
    ("Numbers and booleans", _NUMBERS),
    ("Text and bytes", _STRINGS),
    ("Dates and times", _TIMES),
    ("Documents", _DOCUMENTS),
    ("Network addresses", _NETWORK),
    ("Built-in geometric types", _SHAPES),
    ("Text search", _SEARCH),
    ("Ranges and multiranges", _RANGES),
    ("System types", _SYSTEM),
    ("Extensions", _EXTENSIONS),
)
"""(heading, mappings). Each type is in one family only."""

EXACT_REAL = _same("float4", "float", "FLOAT", "Exact: every bit, in a double.")
"""With `real_values: exact`."""
BY_NAME = {mapping.postgres: mapping for _, family in FAMILIES for mapping in family}
