//! Tasks against a model: users, workers, kills, lost leases, cancels and retries at random,
//! over two instances. Whatever happens, every move is legal, every task ends once, and what a
//! stream received is what there is.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use porchlight::tasks::TaskState;
use reqwest::Client;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use super::{QUICK, ann, worker};
use crate::support::cluster::TestDatabase;
use crate::support::{Answer, Chance, Process, Service, Stream, Token, eventually, short_or_long};

/// One instance that stays, and one that is killed and started again.
struct World {
    steady: Service,
    frail: Mutex<String>,
    client: Client,
    over: CancellationToken,
    /// Its workers work fast, and end what they begin.
    is_diligent: bool,
}

impl World {
    /// A request to either; `None` where it was killed in the middle.
    async fn post(
        &self,
        chance: &mut Chance,
        who: &Token,
        path: &str,
        body: &Value,
    ) -> Option<Answer> {
        let url = match chance.below(2) {
            0 => self.steady.url(path),
            _ => format!("{}{path}", self.frail.lock().unwrap()),
        };
        let request = self.client.post(url).bearer_auth(who.signed()).json(body);
        let answer = Answer::try_to(request).await.ok()?;
        // An instance that stops may say so. Nothing else is its fault.
        let is_fault = answer.status >= 500 && answer.status != 503;
        assert!(!is_fault, "{path}: {}", answer.text);
        Some(answer)
    }

    async fn pause(chance: &mut Chance, most_ms: usize) {
        let ms = u64::try_from(chance.below(most_ms)).unwrap();
        tokio::time::sleep(Duration::from_millis(ms)).await;
    }

    async fn use_it(self: Arc<Self>, mut chance: Chance) {
        let ann = ann();
        while !self.over.is_cancelled() {
            let child = |n: usize| json!({"type": (["import", "export"])[n % 2], "maxAttempts": 2});
            let body = match chance.below(3) {
                0 => {
                    json!({"type": "flow", "team": "a", "children": [child(0), child(1), child(2)]})
                }
                n => {
                    json!({"type": (["import", "export"])[n % 2], "team": "a", "maxAttempts": 1 + n})
                }
            };
            self.post(&mut chance, &ann, "/tasks", &body).await;
            for what in ["cancel", "retry"] {
                let tasks = self.steady.list("/tasks?limit=20", &ann).await;
                let tasks = tasks["tasks"].as_array().unwrap();
                if tasks.is_empty() || chance.below(3) > 0 {
                    continue;
                }
                let id = tasks[chance.below(tasks.len())]["id"]
                    .as_str()
                    .unwrap()
                    .to_owned();
                let path = format!("/tasks/{id}/{what}");
                self.post(&mut chance, &ann, &path, &json!({})).await;
            }
            Self::pause(&mut chance, 400).await;
        }
    }

    /// Claims and works; now and then it dies, dawdles or does not listen.
    async fn work(self: Arc<Self>, name: usize, mut chance: Chance) {
        let who = worker(&format!("w-{name}"));
        while !self.over.is_cancelled() {
            let claim = json!({"types": ["import", "export"], "waitSeconds": 1, "leaseSeconds": 1});
            let claimed = self.post(&mut chance, &who, "/tasks/claim", &claim).await;
            let Some(claimed) = claimed.filter(|answer| answer.status == 200) else {
                Self::pause(&mut chance, 50).await;
                continue;
            };
            let claimed = claimed.json();
            let id = claimed["task"]["id"].as_str().unwrap().to_owned();
            self.carry_out(&mut chance, &who, &id, &claimed["fence"])
                .await;
        }
    }

    async fn carry_out(&self, chance: &mut Chance, who: &Token, id: &str, fence: &Value) {
        let character = if self.is_diligent { 7 } else { chance.below(8) };
        let steps = if self.is_diligent {
            1
        } else {
            1 + chance.below(8)
        };
        for step in 0..steps {
            let body = json!({"fence": fence, "step": step, "steps": steps, "message": format!("{step}"),
                "percent": 100 * step / steps});
            let path = format!("/tasks/{id}/progress");
            match self.post(chance, who, &path, &body).await {
                Some(answer) if answer.status == 409 => return,
                // One of them does not listen.
                Some(answer) if character != 1 && answer.json()["cancel"] == true => {
                    let path = format!("/tasks/{id}/cancelled");
                    self.post(chance, who, &path, &json!({"fence": fence}))
                        .await;
                    return;
                }
                _ => {}
            }
            if character == 0 {
                return;
            }
            let dawdles = if character == 2 { 900 } else { 120 };
            Self::pause(chance, if self.is_diligent { 1 } else { dawdles }).await;
        }
        let error = json!({"code": "unlucky", "message": "No.", "retryable": chance.below(2) == 0});
        let (what, body) = match chance.below(3) {
            0 => ("fail", json!({"fence": fence, "error": error})),
            _ => (
                "complete",
                json!({"fence": fence, "result": {"steps": steps}}),
            ),
        };
        self.post(chance, who, &format!("/tasks/{id}/{what}"), &body)
            .await;
    }

    /// Kills the frail instance again and again.
    async fn kill(self: Arc<Self>, mut process: Process, mut chance: Chance) {
        let url = self.steady.database.url();
        while !self.over.is_cancelled() {
            Self::pause(&mut chance, 4_000).await;
            process.kill();
            process = start(&url).await;
            *self.frail.lock().unwrap() = process.url("");
        }
        process.kill();
    }
}

async fn start(url: &str) -> Process {
    let variables = [
        ("DATABASE_URL", url),
        ("PORCHLIGHT_TASK_LEASE_MIN_SECONDS", "1"),
        ("PORCHLIGHT_TASK_CANCEL_SECONDS", "1"),
        ("PORCHLIGHT_TASK_BACKOFF_MS", "100"),
    ];
    Process::start("127.0.0.1:0", &variables).await
}

/// What one stream received about one task.
#[derive(Clone, Debug, Default)]
struct Picture {
    known: BTreeMap<String, Value>,
    version: i64,
    complaints: Vec<String>,
}

const PROGRESS: [&str; 5] = ["percent", "step", "steps", "message", "partial"];

impl Picture {
    /// Takes an event, which must follow from what is known.
    fn apply(&mut self, name: &str, event: &Value) {
        let data = event["data"].as_object().unwrap();
        let before = self.state();
        let version = event["version"].as_i64().unwrap();
        let complain = |what: &str| format!("{what}: {name} {version} after {self:?}");
        let mut complaints = Vec::new();
        if version != self.version + 1 {
            complaints.push(complain("a gap"));
        }
        if before.is_some_and(TaskState::is_over) {
            complaints.push(complain("something after the end"));
        }
        let next: TaskState = data["state"].as_str().unwrap().parse().unwrap();
        let is_workflow = self.known.contains_key("steps") && data["attempt"] == 0;
        let is_legal = match before {
            None => next == TaskState::Queued,
            Some(before) if name == "progress" => before == next,
            Some(before) => before.may_become(next, is_workflow),
        };
        if !is_legal {
            complaints.push(complain("an illegal move"));
        }
        self.complaints.extend(complaints);
        if name == "progress" {
            self.known
                .retain(|field, _| !PROGRESS.contains(&&field[..]));
        } else {
            self.known.clear();
        }
        self.known.extend(data.clone());
        self.version = version;
    }

    fn state(&self) -> Option<TaskState> {
        self.known.get("state")?.as_str()?.parse().ok()
    }

    /// The first difference from the task itself.
    fn difference(&self, task: &Value) -> Option<String> {
        let fields = [
            "state", "attempt", "result", "error", "title", "parentId", "retryOf",
        ];
        let wrong = fields.iter().chain(&PROGRESS).find(|field| {
            let known = self.known.get(**field).unwrap_or(&Value::Null);
            *known != task[**field]
        });
        let is_old = task["version"] != json!(self.version);
        wrong
            .copied()
            .or(is_old.then_some("version"))
            .map(|field| format!("{field}: received {:?}, is {task}", self.known))
    }
}

type Pictures = Arc<Mutex<BTreeMap<String, Picture>>>;

async fn watch(mut stream: Stream, pictures: Pictures) {
    while let Some(message) = stream.try_next().await {
        let Some(name) = message.name.strip_prefix("ai:task:") else {
            continue;
        };
        let event = message.json();
        let id = event["data"]["taskId"].as_str().unwrap().to_owned();
        pictures
            .lock()
            .unwrap()
            .entry(id)
            .or_default()
            .apply(name, &event);
    }
}

/// Every task, as it is.
async fn all(service: &Service) -> Vec<Value> {
    let (mut tasks, mut path) = (Vec::new(), "/tasks?limit=200".to_owned());
    loop {
        let page = service.list(&path, &ann()).await;
        for task in page["tasks"].as_array().unwrap() {
            let id = task["id"].as_str().unwrap();
            tasks.push(service.list(&format!("/tasks/{id}"), &ann()).await);
        }
        match page["next"].as_str() {
            Some(next) => path = format!("/tasks?limit=200&cursor={next}"),
            None => return tasks,
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_task_ends_once_and_every_stream_knows_how() {
    let mut chance = Chance::new();
    let database = Arc::new(TestDatabase::create().await);
    let steady = Service::on(Arc::clone(&database), QUICK).await;
    let process = start(&database.url()).await;
    let pictures: [Pictures; 2] = Default::default();
    let user = steady.stream("/stream/user?types=ai:*", &ann()).await;
    let team = steady
        .stream("/stream/team", &Token::user("bob", &["a"]))
        .await;
    tokio::spawn(watch(user, Arc::clone(&pictures[0])));
    tokio::spawn(watch(team, Arc::clone(&pictures[1])));
    let client = Client::builder()
        .no_proxy()
        .timeout(Duration::from_secs(10));
    let world = Arc::new(World {
        frail: Mutex::new(process.url("")),
        client: client.build().unwrap(),
        over: CancellationToken::new(),
        is_diligent: false,
        steady,
    });
    let mut living = tokio::task::JoinSet::new();
    for _ in 0..2 {
        living.spawn(Arc::clone(&world).use_it(chance.fork()));
    }
    for n in 0..6 {
        living.spawn(Arc::clone(&world).work(n, chance.fork()));
    }
    living.spawn(Arc::clone(&world).kill(process, chance.fork()));
    let (seconds, fewest_tasks) = short_or_long((5, 10), (15, 30));
    tokio::time::sleep(Duration::from_secs(seconds)).await;
    world.over.cancel();
    while let Some(ended) = living.join_next().await {
        ended.expect("no panic");
    }
    // Diligent workers end what is left.
    let finishing = CancellationToken::new();
    let last = Arc::new(World {
        frail: Mutex::new(world.steady.url("")),
        client: world.client.clone(),
        over: finishing.clone(),
        is_diligent: true,
        steady: Service::on(database, QUICK).await,
    });
    for n in 0..4 {
        living.spawn(Arc::clone(&last).work(n, chance.fork()));
    }
    let tasks = eventually("every task ends", async || {
        let tasks = all(&world.steady).await;
        let is_over = |task: &Value| task["endedAt"].is_string();
        tasks.iter().all(is_over).then_some(tasks)
    })
    .await;
    finishing.cancel();
    assert!(tasks.len() > fewest_tasks, "only {} tasks", tasks.len());
    for pictures in &pictures {
        let difference = || {
            let pictures = pictures.lock().unwrap();
            let none = Picture::default();
            let of = |task: &Value| {
                pictures
                    .get(task["id"].as_str().unwrap())
                    .unwrap_or(&none)
                    .difference(task)
            };
            tasks.iter().find_map(of)
        };
        eventually("every task is known", async || {
            difference().is_none().then_some(())
        })
        .await;
        let pictures = pictures.lock().unwrap();
        let complaints: Vec<_> = pictures.values().flat_map(|p| &p.complaints).collect();
        assert!(complaints.is_empty(), "{complaints:#?}");
        assert_eq!(pictures.len(), tasks.len());
    }
    while let Some(ended) = living.join_next().await {
        ended.expect("no panic");
    }
}
