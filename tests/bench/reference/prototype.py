"""The hot path of a Python prototype: a webhook becomes a row, a connection per call, SQLite's defaults."""
import hashlib
import hmac
import os
import sqlite3

from fastapi import FastAPI, HTTPException, Request

DATABASE = os.environ["DATABASE"]
SECRET = os.environ["SECRET"].encode()


def connect() -> sqlite3.Connection:
    connection = sqlite3.connect(DATABASE, timeout=30)
    connection.row_factory = sqlite3.Row
    return connection


with connect() as setup:
    setup.execute(
        "CREATE TABLE IF NOT EXISTS jobs (id INTEGER PRIMARY KEY AUTOINCREMENT, kind TEXT NOT NULL, payload TEXT NOT NULL,"
        " status TEXT NOT NULL DEFAULT 'queued', attempts INTEGER NOT NULL DEFAULT 0, max_attempts INTEGER NOT NULL DEFAULT 2,"
        " error TEXT, worker TEXT, created_at TEXT NOT NULL DEFAULT (datetime('now')), started_at TEXT, finished_at TEXT)"
    )
    setup.execute("CREATE INDEX IF NOT EXISTS jobs_status ON jobs (status, id)")

app = FastAPI()


@app.post("/webhook/gitea")
async def receive(request: Request) -> dict:
    body = await request.body()
    expected = hmac.new(SECRET, body, hashlib.sha256).hexdigest()
    if not hmac.compare_digest(expected, request.headers.get("x-gitea-signature", "")):
        raise HTTPException(status_code=401, detail="bad signature")
    with connect() as connection:
        cursor = connection.execute("INSERT INTO jobs (kind, payload) VALUES ('event', ?)", (body.decode(),))
        job = cursor.lastrowid
    connection.close()
    return {"status": "queued", "job_id": job}
