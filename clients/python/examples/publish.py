"""Publishes an event to a team."""
from porchlight import Client

with Client() as client:  # PORCHLIGHT_URL, and a token with the role service in PORCHLIGHT_TOKEN
    sold = client.publish({"type": "listing:sold", "audience": {"team": "team-a"}, "data": {"price": 395000}})
    print("published at", *sold)
