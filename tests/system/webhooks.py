#!/usr/bin/env python3
"""What Plane would send, signed: one webhook, or many at a steady pace, each on a connection of its own.

    webhooks.py create N          a person creates work item number N
    webhooks.py approve N         ... approves its analysis
    webhooks.py forge             a webhook with a wrong signature
    webhooks.py flood RATE SECONDS [--again]
                                  comments on work items nobody has; --again sends what was cut once more, as Plane does

Prints the answer's status and body, or the flood's counts as name=number lines.
"""

import asyncio
import hashlib
import hmac
import json
import sys
import time
import uuid
from pathlib import Path

HOST, PORT = "127.0.0.1", 8500
PROJECT = "0b6c3c4e-8b0b-4d0e-9f0a-3f1f0a6f5b11"
PERSON = "5f0c6a36-7c7e-4b43-9a5e-0f3a7f1f2d10"
NOBODY = str(uuid.UUID(int=0))
SECRET = Path("/etc/credstore/orch.plane_webhook_secret").read_text().strip()
# A sender that gives up sooner would call a restart a loss.
PATIENCE_S = 30
TRIES = 5


def work_item(number):
    return str(uuid.uuid5(uuid.NAMESPACE_OID, f"work item {number}"))


def created(number):
    return "issue", {
        "id": work_item(number), "name": f"Greet people, part {number}", "sequence_id": number,
        "description_html": "<p>As a user I want to be greeted.</p>", "priority": "high",
        "description_stripped": "As a user I want to be greeted.",
        "state": {"id": str(uuid.uuid4()), "name": "Todo", "color": "#60646C", "group": "unstarted"},
        "labels": [], "assignees": [], "project": PROJECT, "workspace": NOBODY,
        "external_source": None, "external_id": None, "created_by": PERSON, "updated_by": None,
    }


def comment(item, html):
    return "issue_comment", {
        "id": str(uuid.uuid4()), "comment_html": html, "issue": item, "project": PROJECT, "workspace": NOBODY,
        "actor": PERSON, "created_by": PERSON, "external_source": None, "external_id": None, "access": "INTERNAL",
    }


def request(event, data, secret=SECRET):
    actor = {"id": PERSON, "first_name": "Hugo", "last_name": "Human", "display_name": "hugo"}
    activity = {"field": None, "new_value": None, "old_value": None, "actor": actor,
                "old_identifier": None, "new_identifier": None}
    body = json.dumps({"event": event, "action": "created", "webhook_id": str(uuid.uuid4()),
                       "workspace_id": NOBODY, "data": data, "activity": activity}).encode()
    signature = hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()
    head = (f"POST /webhook/plane HTTP/1.1\r\nhost: {HOST}:{PORT}\r\ncontent-type: application/json\r\n"
            f"content-length: {len(body)}\r\nconnection: close\r\nx-plane-event: {event}\r\n"
            f"x-plane-delivery: {uuid.uuid4()}\r\nx-plane-signature: {signature}\r\n\r\n")
    return head.encode() + body


async def send(data):
    """The answer's status and body; a cut connection raises OSError, a refused one ConnectionRefusedError."""
    reader, writer = await asyncio.open_connection(HOST, PORT)
    try:
        writer.write(data)
        await writer.drain()
        answer = await reader.read()
    finally:
        writer.close()
    head, _, body = answer.partition(b"\r\n\r\n")
    if not head.startswith(b"HTTP/1.1 "):
        raise ConnectionResetError("no answer")
    return int(head.split(b" ")[1]), body.decode()


async def counted(counts, data, again):
    begun = time.monotonic()
    for _ in range(TRIES if again else 1):
        try:
            status, body = await asyncio.wait_for(send(data), PATIENCE_S)
            queued = status == 200 and '"queued"' in body
            duplicate = status == 200 and '"duplicate"' in body
            name = "queued" if queued else "duplicate" if duplicate else f"status_{status}"
        except ConnectionRefusedError:
            name = "refused"
        except asyncio.TimeoutError:
            name = "silent"
        except OSError:
            name = "cut"
        counts[name] = counts.get(name, 0) + 1
        if name in ("queued", "duplicate"):
            break
        await asyncio.sleep(0.5)
    else:
        counts["given_up"] = counts.get("given_up", 0) + 1
    counts["slowest_ms"] = max(counts["slowest_ms"], int((time.monotonic() - begun) * 1000))


async def flood(rate, seconds, again):
    counts = {"sent": 0, "queued": 0, "duplicate": 0, "cut": 0, "refused": 0, "silent": 0, "given_up": 0,
              "slowest_ms": 0}
    under_way, begun = [], time.monotonic()
    for number in range(rate * seconds):
        await asyncio.sleep(max(0.0, begun + number / rate - time.monotonic()))
        data = request(*comment(str(uuid.uuid4()), f"<p>word {number}</p>"))
        under_way.append(asyncio.create_task(counted(counts, data, again)))
        counts["sent"] += 1
    await asyncio.gather(*under_way)
    took = time.monotonic() - begun
    print("\n".join(f"{name}={number}" for name, number in counts.items()))
    print(f"took_ms={int(took * 1000)}")


def main(verb, *words):
    if verb == "flood":
        return asyncio.run(flood(int(words[0]), int(words[1]), "--again" in words))
    data = {
        "create": lambda: request(*created(int(words[0]))),
        "approve": lambda: request(*comment(work_item(int(words[0])), "<p>:approved: looks good</p>")),
        "forge": lambda: request(*created(1), secret="another secret"),
    }[verb]()
    status, body = asyncio.run(send(data))
    print(status, body)


if __name__ == "__main__":
    main(*sys.argv[1:])
