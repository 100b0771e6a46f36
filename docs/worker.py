"""A worker in the standard library: claims `summarize` tasks and writes its answer word by word.

PORCHLIGHT_URL=http://127.0.0.1:8080 PORCHLIGHT_TOKEN=... python3 worker.py   (role: worker)
"""
import json, os, time, urllib.error, urllib.request

def post(path, body):
    headers = {"Authorization": "Bearer " + os.environ["PORCHLIGHT_TOKEN"], "Content-Type": "application/json"}
    url = os.environ.get("PORCHLIGHT_URL", "http://127.0.0.1:8080") + path
    request = urllib.request.Request(url, json.dumps(body).encode(), headers)
    with urllib.request.urlopen(request, timeout=90) as answer:
        return json.loads(answer.read() or "null")

def work(task, fence):
    def say(what, **body):
        return post(f"/tasks/{task['id']}/{what}", {"fence": fence, **body})
    params = task["params"] if isinstance(task["params"], dict) else {}
    words = str(params.get("text", "")).split()
    if not words:  # Nothing that another attempt would do better.
        return say("fail", error={"code": "no_text", "message": "params.text is empty.", "retryable": False})
    offset, summary = 0, words[:10]  # A model would think here.
    for n, word in enumerate(summary, 1):
        offset = say("output", offset=offset, text=word + " ")["offset"]  # A stream for the user.
        percent = n * 100 // len(summary)
        if say("progress", percent=percent, message=f"Word {n} of {len(summary)}")["cancel"]:
            return say("cancelled")  # The user wants no more of it.
    return say("complete", result={"summary": " ".join(summary)})

while True:
    try:
        claimed = post("/tasks/claim", {"types": ["summarize"], "waitSeconds": 30, "leaseSeconds": 60})
        if claimed:  # After 30 seconds without a task there is none, and we ask again.
            work(claimed["task"], claimed["fence"])
    except urllib.error.HTTPError as error:
        if error.code in (401, 403):
            raise  # The token is not good.
        if error.code != 409:  # 409: the task is another worker's now, or over. Let go of it.
            time.sleep(float(error.headers.get("Retry-After", 1)))
    except OSError:
        time.sleep(1)  # The service is away; whatever we held is begun again when its lease ends.
