// Tasks of the fake service, with what a worker reports.
import { notify } from './inbox.js';
import { Problem } from './problem.js';

/** @typedef {import('./service.js').FakeService} FakeService */
/** @typedef {import('../events.d.ts').Task} Task */
/** @typedef {{task: Task, output: string, listeners: Set<(what: 'output' | 'end') => void>}} Row */

const PROGRESS = ['percent', 'step', 'steps', 'message', 'partial'];
const HEARTBEAT_SECONDS = 15;
const ENDED = ['completed', 'failed', 'cancelled'];
/** What a report makes of a task. */
const ENDS = /** @type {Record<string, Task['state'] | undefined>} */ ({ complete: 'completed', fail: 'failed', cancelled: 'cancelled' });

/** @param {FakeService} service @returns {Map<string, Row>} */
const rowsOf = (service) => service.part('tasks', () => new Map());

/** @param {FakeService} service @param {string} id */
function find(service, id) {
  const row = rowsOf(service).get(id);
  if (!row) throw new Problem(404, 'unknown_task', 'There is no such task.');
  return row;
}

/** The user is notified of these. */
const LEVELS = /** @type {Record<string, string | undefined>} */ ({ completed: 'success', failed: 'error' });

/**
 * Changes a task, and tells its user and its team.
 * @param {FakeService} service @param {Row} row @param {string} action @param {Record<string, any>} change @param {string | null} [by] the user, if it is not said
 */
function advance(service, row, action, change, by = row.task.userId) {
  const { task } = row;
  // A new attempt begins without progress, and a result replaces what was shown of it before.
  const outdated = action === 'started' ? PROGRESS : action === 'completed' ? ['partial'] : [];
  for (const field of outdated) delete (/** @type {any} */ (task)[field]);
  Object.assign(task, action === 'completed' && { percent: 100 }, change, { version: task.version + 1 });
  const { id, type, userId, teamId, params, version, createdAt, startedAt, endedAt, cancelRequestedAt, maxAttempts, isWorkflow, ...state } = task;
  const { state: name, attempt } = task;
  const progress = Object.fromEntries(PROGRESS.filter((field) => field in task).map((field) => [field, /** @type {any} */ (task)[field]]));
  const data = action === 'progress' ? { taskId: id, state: name, attempt, ...progress } : { taskId: id, taskType: type, ...state };
  service.publish({ user: userId, ...(teamId && { team: teamId }) }, { type: `ai:task:${action}`, ...(by && { userId: by }), version, data });
  const level = LEVELS[action];
  if (level && by && by !== userId) notify(service, by, { audience: { user: userId }, level, kind: 'taskEnded', title: `${task.title ?? type}: ${action}` });
  if (ENDED.includes(name)) for (const tell of [...row.listeners]) tell('end');
}

/** Who is said to have done what a worker reports; nobody for progress, and the user for a cancel. @param {string} what @param {import('./service.js').Caller} caller */
const actorOf = (what, { userId }) => (what === 'progress' ? null : what === 'cancelled' ? undefined : userId);

/** @param {FakeService} service */
const now = (service) => new Date(service.clock.now()).toISOString();

/** As it is in lists and answers: without what may be large. @param {Task} task */
const brief = ({ params, partial, result, ...task }) => task;

/** @param {FakeService} service @param {import('./service.js').Caller} caller @param {any} given */
function create(service, caller, { type, title, params = {}, team, maxAttempts = 3, retryOf }) {
  const rows = rowsOf(service);
  /** @type {any} */
  const task = { id: `task-${rows.size + 1}`, type, title, state: 'queued', userId: caller.userId, teamId: team, params, attempt: 0, maxAttempts, version: 0, createdAt: now(service), ...(retryOf && { retryOf }) };
  const row = { task, output: '', listeners: new Set() };
  rows.set(task.id, row);
  advance(service, row, 'queued', {});
  return { ...task };
}

/** @param {FakeService} service @param {Row} row @param {Record<string, any>} report */
function report(service, row, { fence, ...change }) {
  if (row.task.attempt !== fence || !['running', 'cancelling'].includes(row.task.state)) throw new Problem(409, 'lease_lost', 'The task is no longer yours.', { reason: 'claimed' });
  return change;
}

/** @param {string} text */
const bytesOf = (text) => new TextEncoder().encode(text);

/**
 * The output of a task from a byte, as its stream.
 * @param {Row} row @param {number} from @param {(text: string) => void} write @param {() => void} end
 */
function follow(row, from, write, end) {
  let sent = from;
  const block = (/** @type {string} */ event, /** @type {any} */ data) => write(`event: ${event}\ndata: ${JSON.stringify(data)}\nid: ${row.task.attempt}-${sent}\n\n`);
  /** @param {'output' | 'end'} what */
  const tell = (what) => {
    const bytes = bytesOf(row.output);
    if (bytes.length > sent) {
      const offset = sent;
      sent = bytes.length;
      block('output', { offset, text: new TextDecoder().decode(bytes.subarray(offset)) });
    }
    if (what !== 'end') return;
    block('end', { offset: sent, state: row.task.state });
    end();
  };
  row.listeners.add(tell);
  const ready = { type: 'stream:ready', stream: `output-${row.task.id}`, heartbeatSeconds: HEARTBEAT_SECONDS };
  write(`retry: 1000\n:ok\nevent: stream:ready\ndata: ${JSON.stringify(ready)}\n\n`);
  tell(ENDED.includes(row.task.state) ? 'end' : 'output');
  return () => void row.listeners.delete(tell);
}

/** What a worker hears. @param {FakeService} service @param {Row} row */
const lease = (service, { task }) => ({ cancel: task.state === 'cancelling', leaseUntil: now(service) });

/** @param {any} body */
const ok = (body, status = 200) => ({ status, body });

/** @type {import('./service.js').Route[]} */
export const taskRoutes = [
  ['GET', /^\/tasks$/, (service, { caller, query }) => {
    const all = [...rowsOf(service).values()].map(({ task }) => task).reverse();
    const seen = all.filter(({ userId, teamId, type }) => (userId === caller.userId || (teamId && caller.teams.includes(teamId))) && (!query.get('type') || type === query.get('type')));
    const from = Number(query.get('cursor') ?? 0);
    const to = from + Number(query.get('limit') ?? 50);
    const tasks = seen.slice(from, to).map(brief);
    return { ...ok({ tasks, next: to < seen.length ? String(to) : null }), headers: { 'Stream-Position': service.log.position } };
  }],
  ['POST', /^\/tasks$/, (service, { caller, body }) => ok(create(service, caller, body), 201)],
  ['POST', /^\/tasks\/claim$/, (service, { body, caller }) => {
    const row = [...rowsOf(service).values()].find(({ task }) => task.state === 'queued' && body.types.includes(task.type));
    if (!row) return { status: 204 };
    advance(service, row, 'started', { state: 'running', attempt: row.task.attempt + 1, startedAt: now(service) }, caller.userId);
    return ok({ task: row.task, fence: row.task.attempt, leaseUntil: now(service) });
  }],
  ['GET', /^\/tasks\/([^/]+)$/, (service, { parts: [id] }) => ({ ...ok({ ...find(service, id).task }), headers: { 'Stream-Position': service.log.position } })],
  ['POST', /^\/tasks\/([^/]+)\/cancel$/, (service, { parts: [id] }) => {
    const row = find(service, id);
    const { state } = row.task;
    if (state === 'completed' || state === 'failed') throw new Problem(409, 'wrong_state', 'The task has ended.', { state });
    if (state === 'queued') advance(service, row, 'cancelled', { state: 'cancelled', cancelRequestedAt: now(service), endedAt: now(service) });
    if (state === 'running') advance(service, row, 'cancelling', { state: 'cancelling', cancelRequestedAt: now(service) });
    return ok(brief(row.task));
  }],
  ['POST', /^\/tasks\/([^/]+)\/retry$/, (service, { parts: [id], caller }) => {
    const { task } = find(service, id);
    if (task.state !== 'failed' && task.state !== 'cancelled') throw new Problem(409, 'wrong_state', 'The task has not failed.', { state: task.state });
    return ok(create(service, caller, { ...task, team: task.teamId, retryOf: task.id }), 201);
  }],
  ['POST', /^\/tasks\/([^/]+)\/(progress|complete|fail|cancelled)$/, (service, { parts: [id, what], body, caller }) => {
    const row = find(service, id);
    const change = report(service, row, body);
    const state = ENDS[what];
    advance(service, row, state ?? 'progress', { ...change, ...(state && { state, endedAt: now(service) }) }, actorOf(what, caller));
    return ok(state ? { taskId: id, state, version: row.task.version } : { ...lease(service, row), version: row.task.version });
  }],
  ['GET', /^\/tasks\/([^/]+)\/output$/, (service, { parts: [id], headers, query }) => {
    const row = find(service, id);
    const from = Number(headers.get('Last-Event-ID')?.split('-')[1] ?? query.get('offset') ?? 0);
    return { status: 200, stream: (write, end) => follow(row, from, write, end) };
  }],
  ['POST', /^\/tasks\/([^/]+)\/output$/, (service, { parts: [id], body }) => {
    const row = find(service, id);
    row.output += report(service, row, body).text;
    for (const tell of [...row.listeners]) tell('output');
    return ok({ offset: bytesOf(row.output).length, ...lease(service, row) });
  }],
];
