"""Watches an address as NDJSON with `httpx`, in the coding that is named, as a careful user does: a JSON line for each
frame, and for each end of a connection one that tells how; comes back with the last cursor until the server says that
there is no use."""

import json
import sys
import time

import httpx

RETRY_SECONDS = 0.05


def say(line):
    print(line, flush=True)


def end(how, final):
    say(json.dumps({"ended": how, "final": final}))
    return final


def watch(url, coding):
    cursor = None
    headers = {"Accept": "application/x-ndjson", "Accept-Encoding": coding}
    with httpx.Client(trust_env=False, timeout=None, headers=headers) as client:
        while True:
            try:
                with client.stream("GET", url, params={"after": cursor} if cursor else None) as answer:
                    if answer.status_code == 200:
                        assert answer.headers.get("Content-Encoding") == coding, answer.headers
                        for line in answer.iter_lines():
                            cursor = json.loads(line).get("cursor", cursor)
                            say(line)
                over = end(answer.status_code, 400 <= answer.status_code < 500)
            except httpx.HTTPError as failed:
                over = end(type(failed).__name__, False)
            if over:
                return
            time.sleep(RETRY_SECONDS)


watch(sys.argv[1], sys.argv[2])
