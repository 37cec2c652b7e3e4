"""Ends with 1, naming them, when a pytest run left out tests that it had chosen.   usage: skipped.py
JUNIT_XML"""

import sys
import xml.etree.ElementTree as ElementTree


def skipped(path: str) -> list[str]:
    """`where: reason` of each skipped (or expectedly failing) test in a JUnit file."""
    return [
        f"{case.get('classname')}.{case.get('name')}: {mark.get('message')}"
        for case in ElementTree.parse(path).iter("testcase")
        for mark in case.iter("skipped")
    ]


if __name__ == "__main__":
    left_out = skipped(sys.argv[1])
    for line in left_out:
        sys.stderr.write(f"skipped, and should have run: {line}\n")
    sys.exit(1 if left_out else 0)
