"""All cases of the contract, in the order in which they are asked."""

from tests.live.cases import catalog, merges, values

CASES = (*values.CASES, *merges.CASES, *catalog.CASES)
