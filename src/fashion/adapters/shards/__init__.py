"""pyarrow: Parquet shards of pictures, in the form in which Hugging Face's `datasets` keeps them.

Columns: `image` {bytes, path}, the picture file as it is; `label`, the number of the class; and, where known, `group`
(of pictures that show the same thing) and `split`. The schema's metadata `huggingface` name the classes.
Source: `Image` and `ClassLabel` in `datasets.features`, `ArrowWriter._build_metadata` in `datasets.arrow_writer`.
"""

from fashion.adapters.shards.columns import in_parts
from fashion.adapters.shards.reading import (
    NO_BYTES,
    Rows,
    Stored,
    column_names,
    count_pictures,
    end_of_group,
    read_from,
    read_pictures,
    read_rows,
)
from fashion.adapters.shards.writing import Row, write_shard, write_shards

__all__ = [
    "NO_BYTES",
    "Row",
    "Rows",
    "Stored",
    "column_names",
    "count_pictures",
    "end_of_group",
    "in_parts",
    "read_from",
    "read_pictures",
    "read_rows",
    "write_shard",
    "write_shards",
]
