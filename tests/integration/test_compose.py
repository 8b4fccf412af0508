"""What compose.yaml does once: databases and their owners, in a real PostgreSQL; the bucket, in an S3 server."""

import subprocess
import sys

import boto3
import httpx
import psycopg
import pytest
from moto.server import ThreadedMotoServer

from tests.compose import read_compose
from tests.servers import postgresql


def test_each_owner_opens_their_own_database_and_no_other():
    statements = read_compose()["configs"]["databases"]["content"].split(";")
    with postgresql() as (address, _):
        with psycopg.connect(address, autocommit=True) as connection:
            for statement in filter(str.strip, statements):
                connection.execute(statement)
        place = address.partition("@")[2].removesuffix("/postgres")
        for name in ("prefect", "mlflow", "log"):
            with psycopg.connect(f"postgresql://{name}@{place}/{name}") as connection:
                connection.execute("CREATE TABLE one (number int)")
        for other in ("prefect", "mlflow"):
            with pytest.raises(psycopg.OperationalError, match="permission denied for database"):
                psycopg.connect(f"postgresql://log@{place}/{other}")


def test_the_bucket_is_made_and_found_when_it_is_there(monkeypatch):
    bucket = read_compose()["services"]["bucket"]
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    try:
        address = "http://{}:{}".format(*server.get_host_and_port())
        httpx.post(f"{address}/moto-api/reset").raise_for_status()  # All of its servers in a process have one memory.
        for name, value in (bucket["environment"] | {"MLFLOW_S3_ENDPOINT_URL": address}).items():
            monkeypatch.setenv(name, value)
        for _ in range(2):
            subprocess.run([sys.executable, *bucket["command"][1:]], check=True)
        store = boto3.client("s3", endpoint_url=address)
        assert [found["Name"] for found in store.list_buckets()["Buckets"]] == ["mlflow"]
    finally:
        server.stop()
