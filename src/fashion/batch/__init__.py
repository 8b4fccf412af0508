"""The champion's answers for any number of pictures, into Parquet shards; a run that is killed goes on."""
