"""fakesnow's transformations of a statement's tree, of which most have nothing to do in a given statement."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import fakesnow.cursor
from sqlglot import exp

NODES: dict[tuple[type[Any], ...], str] = {
    (
        exp.Show,
    ): "show_databases show_procedures show_warehouses show_schemas show_tables_etc show_columns show_stages "
    "show_sequences show_keys show_users",
    (exp.Show, exp.Command): "show_functions",
    (exp.Command,): "show_parameters create_user",
    (exp.Create,): "create_database create_clone create_table_as create_stage create_file_format",
    (exp.Create, exp.Alter): "extract_text_length",
    (exp.Create, exp.Alter, exp.Comment): "extract_comment_on_table",
    (exp.Create, exp.Alter, exp.Command, exp.Drop): "tag",
    (exp.Alter,): "alter_session extract_comment_on_columns",
    (exp.Drop,): "drop_schema_cascade",
    (exp.Use,): "set_schema",
    (exp.ListStage,): "list_stage",
    (exp.Put,): "put_stage",
    (exp.Table,): "identifier information_schema_fs information_schema_databases",
    (exp.TableSample,): "sample",
    (exp.Values,): "values_columns",
    (exp.Lateral, exp.TableFromRows): "flatten",
    (exp.Select,): "result_scan random alias_in_join alias_in_where",
    (exp.DataType,): "semi_structured_types timestamp_ntz float_to_double integer_precision",
    (exp.Cast,): "json_extract_cast_as_varchar flatten_value_cast_as_varchar timestamp_offsets",
    (exp.Anonymous,): "try_parse_json to_date haversine",
    (exp.DateAdd,): "dateadd_date_cast dateadd_string_literal_timestamp_cast",
    (exp.DateDiff,): "datediff_string_literal_timestamp_cast",
    (exp.Bracket,): "indices_to_json_extract",
    (exp.JSONExtract, exp.JSONExtractScalar): "json_extract_precedence",
    (exp.Upper, exp.Lower): "json_extract_cased_as_varchar",
    (exp.ArraySize,): "array_size",
    (exp.ArrayAgg, exp.Window): "array_agg",
    (exp.WithinGroup,): "array_agg_within_group",
    (exp.ObjectAgg,): "object_agg",
    (exp.ArrayConstructCompact, exp.Array, exp.ArrayConcat): "array_construct_etc",
    (exp.CurrentVersion,): "current_version",
    (exp.HexString,): "hex_string",
    (exp.RegexpReplace,): "regex_replace",
    (exp.RegexpExtract,): "regex_substr",
    (exp.Split,): "split",
    (exp.Trim,): "trim_cast_varchar",
    (exp.ToNumber,): "to_decimal",
    (exp.ToVariant,): "to_variant",
    (exp.UnixToTime, exp.Anonymous, exp.Cast): "to_timestamp",
    (exp.StarMap, exp.Struct, exp.JSONObject): "object_construct",
    (exp.SHA2, exp.SHA2Digest, exp.Anonymous): "sha256",
    (exp.Alter, exp.Command): "alter_table_strip_cluster_by",
}
"""Classes of nodes → transformations that return every other node as it is."""
NODES_OF = {name: frozenset(nodes) for nodes, names in NODES.items() for name in names.split()}


def walk_only_where_needed() -> None:
    """Stock: walks through a statement's whole tree eighty times, half of the time that the emulator spends in Python
    on a MERGE, and copies it each time. Here it is copied once, and a transformation is left out if the tree has no
    node that it could change."""
    cursor = fakesnow.cursor.FakeSnowflakeCursor
    stock = cursor._transform

    def transform(self: Any, expression: Any, params: Any) -> Any:
        return stock(self, NeededWalks(expression), params).tree

    cursor._transform = transform


class NeededWalks:
    """Stands for a tree, for code that only calls `transform` on it, in a chain."""

    def __init__(self, tree: Any) -> None:
        self.tree = tree
        self._is_copy = False
        self._classes: set[type[Any]] | None = None

    def transform(self, function: Callable[..., Any], **options: Any) -> NeededWalks:
        """As the tree's own method."""
        nodes = NODES_OF.get(name_of(function))
        if nodes is None or not nodes.isdisjoint(self._known_classes()):
            self.tree = self.tree.transform(function, **{**options, "copy": not self._is_copy})
            self._is_copy, self._classes = True, None
        return self

    def _known_classes(self) -> set[type[Any]]:
        """The classes of all nodes, with those that they are derived from."""
        if self._classes is None:
            classes = {type(node) for node in self.tree.walk()}
            self._classes = {base for each in classes for base in each.__mro__}
        return self._classes


def name_of(function: Callable[..., Any]) -> str:
    """A transformation's name, also where a lambda only adds arguments to it."""
    names = (function.__name__, *function.__code__.co_names)
    return next((name for name in names if name in NODES_OF), "")
