"""Prints the last event of the team and what comes, until the first event."""
from porchlight import Client

with Client() as client, client.tail("team", types="listing:*", since="-1") as events:
    for event in events:
        if event.type.startswith("listing:"):
            print(event.type, event.json())
            break
