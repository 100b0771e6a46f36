"""docs/worker.py with the package: it does `summarize` tasks and writes the answer word by word."""
from porchlight import Task, TaskFailed, Worker

worker = Worker()  # PORCHLIGHT_URL, and a token with the role worker in PORCHLIGHT_TOKEN

@worker.task("summarize")
def summarize(task: Task) -> object:
    if not (words := str(task.param("text", "")).split()[:10]):  # Call a model here.
        raise TaskFailed("no_text", "params.text is empty.")
    for n, word in enumerate(words, 1):
        task.write(word + " ")
        task.progress(n * 100 // len(words), f"Word {n} of {len(words)}")
    return {"summary": " ".join(words)}

worker.run()
