"""`make test` keeps the main promise of each file of tests, and the list of what it leaves out is not out of date."""

from __future__ import annotations

from collections import defaultdict

from tests.slow_part import OTHERS, ROOT, defined_tests, slow_part


def test_what_make_test_leaves_out_exists_and_is_no_files_main_promise() -> None:
    """An entry for a test that was renamed would do nothing, and one for the first test of a file too much."""
    listed = defaultdict[str, set[str]](set)
    for entry in slow_part():
        path, _, name = entry.partition("::")
        listed[path].add(name)
    for path, names in listed.items():
        main, *further = defined_tests(ROOT / path)
        unknown = {name.removesuffix(OTHERS) for name in names} - {main, *further}
        assert not unknown, f"{path} has no test {unknown}"
        assert main not in names, f"{path}: its main promise is left out"
