"""A worker in the standard library: claims `summarize` tasks and writes its answer word by word.

PORCHLIGHT_URL=http://127.0.0.1:8080 PORCHLIGHT_TOKEN=... python3 worker.py   (role: worker)
"""
import http.client, json, os, time, urllib.error, urllib.request

BROKEN = (OSError, http.client.HTTPException)  # The service is not reachable, or refused.

def number(digits):  # Python does not parse integers of more than 4,300 digits: keep them as text.
    return int(digits) if len(digits) < 4300 else digits

def post(path, body):
    headers = {"Authorization": "Bearer " + os.environ["PORCHLIGHT_TOKEN"], "Content-Type": "application/json"}
    url = os.environ.get("PORCHLIGHT_URL", "http://127.0.0.1:8080") + path
    request = urllib.request.Request(url, json.dumps(body).encode(), headers)
    with urllib.request.urlopen(request, timeout=90) as answer:
        return json.loads(answer.read() or "null", parse_int=number)

def work(task, say):
    params = task["params"] if isinstance(task["params"], dict) else {}
    words = str(params.get("text", "")).split()
    if not words:  # Another attempt would not help.
        return say("fail", error={"code": "no_text", "message": "params.text is empty.", "retryable": False})
    offset, summary = 0, words[:10]  # Call a model here.
    for n, word in enumerate(summary, 1):
        offset = say("output", offset=offset, text=word + " ")["offset"]  # The user reads this as a stream.
        percent = n * 100 // len(summary)
        if say("progress", percent=percent, message=f"Word {n} of {len(summary)}")["cancel"]:
            return say("cancelled")  # The user has cancelled the task.
    return say("complete", result={"summary": " ".join(summary)})

def work_or_fail(task, fence):
    def say(what, **body):
        return post(f"/tasks/{task['id']}/{what}", {"fence": fence, **body})
    try:
        work(task, say)
    except Exception as error:  # Fail a task that cannot be done, and continue with the next one.
        if isinstance(error, BROKEN) and getattr(error, "code", None) not in (400, 413):
            raise  # The task is not the cause, or it is no longer ours.
        say("fail", error={"code": "bad_task", "message": ascii(error)[:200], "retryable": False})

while True:
    try:
        claimed = post("/tasks/claim", {"types": ["summarize"], "waitSeconds": 30, "leaseSeconds": 60})
        if claimed:  # There was no task for 30 seconds: ask again.
            work_or_fail(claimed["task"], claimed["fence"])
    except urllib.error.HTTPError as error:
        if error.code in (401, 403):
            raise  # The token is not valid.
        if error.code != 409:  # 409: another worker has the task, or it has ended. Drop it.
            time.sleep(float(error.headers.get("Retry-After", 1)))
    except (*BROKEN, ValueError):
        time.sleep(1)  # Our task starts again when its lease ends.
