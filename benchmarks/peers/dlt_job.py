"""One run of a dlt pipeline, by its path in dlt's own environment: `dlt_job.py BACKEND TABLE`.

Environment: POSTGRES_DSN, SNOWFLAKE_PORT, STATE (a folder)."""

from __future__ import annotations

import os
import sys
import warnings


def main(backend: str, table: str) -> None:
    warnings.filterwarnings("ignore")
    port = os.environ["SNOWFLAKE_PORT"]
    os.environ["DESTINATION__SNOWFLAKE__CREDENTIALS"] = (
        f"snowflake://u:p@pgsnow/BENCH?warehouse=DEV_WH&host=localhost&port={port}&protocol=http"
    )
    import dlt  # type: ignore[import-not-found]
    from dlt.sources.sql_database import sql_table  # type: ignore[import-not-found]

    source = sql_table(
        credentials=os.environ["POSTGRES_DSN"].replace("postgresql:", "postgresql+psycopg2:"),
        table=table,
        schema="public",
        incremental=dlt.sources.incremental("updated_at"),
        backend=backend,
        chunk_size=50_000,
        **({"reflection_level": "full_with_precision"} if backend == "pyarrow" else {}),
    )
    source.apply_hints(write_disposition={"disposition": "merge", "strategy": "upsert"}, primary_key="id")
    pipeline = dlt.pipeline(
        pipeline_name=f"bench_{backend}_{table}",
        pipelines_dir=os.environ["STATE"],
        destination="snowflake",
        dataset_name=backend,
    )
    print(pipeline.run(source, loader_file_format="parquet"))


if __name__ == "__main__":
    main(*sys.argv[1:])
