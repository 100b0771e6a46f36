// The view at /operations: how the service is doing, for administrators. Each part has its own address.
import { h, onceAFrame, setText } from '../elements/dom.js';
import { banner, button, chip, empty, skeletons } from '../elements/elements.js';
import { plural } from '../elements/format.js';
import { asDuration } from '../elements/units.js';
import { OverviewFeed } from './overview_feed.js';

const TICK_MS = 1_000;
/** Figures that are older than this are said to be old. */
const OLD_MS = 5_000;

const PARTS = [
  { name: 'overview', label: 'Overview', load: () => import('./overview.js').then(({ OverviewPart }) => OverviewPart) },
  { name: 'connections', label: 'Connections', load: () => import('./connections.js').then(({ ConnectionsPart }) => ConnectionsPart) },
  { name: 'tasks', label: 'Tasks', load: () => import('./tasks.js').then(({ TasksPart }) => TasksPart) },
  { name: 'relay', label: 'Relay', load: () => import('./relay.js').then(({ RelayPart }) => RelayPart) },
  { name: 'alerts', label: 'Alerts', load: () => import('./alerts.js').then(({ AlertsPart }) => AlertsPart) },
];

/** @param {import('../shell/shell.js').Shell} shell */
export async function start(shell) {
  if (!(await isAdmin(shell))) return refuse(shell);
  await new Operations(shell).start();
}

/** The service knows the role, also where the token or the link does not say it. */
async function isAdmin(shell) {
  if (shell.isAdmin) return true;
  const session = await shell.client.request('GET', '/session').catch(() => null);
  if (session) shell.session.role = session.body.role;
  return shell.isAdmin;
}

/** Somebody without the role is told so, and what to do. */
function refuse(shell) {
  const who = h('span');
  const say = () => setText(who, `You are signed in as ${shell.nameOf(shell.userId ?? '')}, with the role “${shell.session.role}”. Ask an administrator for the role, or sign in as somebody who has it.`);
  shell.people.store.subscribe(say); // the name may come later
  say();
  shell.main.replaceChildren(h('h1.hidden', {}, 'Operations'), h('div.operations', {},
    empty('This view is for administrators', who,
      h('div.acts', {}, button('Sign in as somebody else', () => shell.signOut(), { kind: 'primary' }), h('a.button', { href: '/' }, 'Go to the CRM')))));
}

class Operations {
  #shell;
  #place = h('div.place', {}, skeletons(6));
  #links;
  #state = chip('Loading');
  #age = h('span.quiet-text.numeric');
  #note = h('div.note', { role: 'status' });
  #noteShown = '';
  #made = new Map();
  #current = null;

  constructor(shell) {
    this.#shell = shell;
    this.feed = new OverviewFeed(shell.client);
    this.#links = PARTS.map(({ name, label }) => h('a', { href: `#${name}`, dataset: { part: name } }, label, h('span.part-count')));
    this.feed.store.subscribe(onceAFrame(() => this.#refresh()));
    addEventListener('hashchange', () => this.#open());
    setInterval(() => this.#showAge(), TICK_MS);
  }

  async start() {
    this.#shell.main.append(h('div.operations', {},
      h('div.operations-head', {}, h('nav.parts', { 'aria-label': 'Parts' }, this.#links), h('div.operations-state', {}, this.#state, this.#age)), this.#note, this.#place));
    PARTS.forEach(({ label, name }, index) => this.#shell.keys.add(String(index + 1), label, () => { location.hash = name; }));
    await Promise.all([this.#open(), this.feed.refresh()]);
  }

  async #open() {
    const wanted = location.hash.slice(1);
    const part = PARTS.find(({ name }) => name === wanted) ?? PARTS[0];
    if (part.name === this.#current) return;
    this.#made.get(this.#current)?.hide?.();
    this.#current = part.name;
    for (const link of this.#links) {
      if (link.dataset.part === part.name) link.setAttribute('aria-current', 'page');
      else link.removeAttribute('aria-current');
    }
    const made = await this.#load(part);
    if (part.name !== this.#current || !made) return;
    this.#place.replaceChildren(made.element);
    made.show?.();
    made.refresh?.();
  }

  async #load({ name, load }) {
    if (this.#made.has(name)) return this.#made.get(name);
    try {
      const Part = await load();
      const made = new Part(this.#shell, this);
      this.#made.set(name, made);
      return made;
    } catch (error) {
      console.error(error);
      this.#place.replaceChildren(empty('This part could not be loaded', 'The service cannot be reached, or it was updated.', button('Load again', () => location.reload())));
      return null;
    }
  }

  #refresh() {
    const { overview, error } = this.feed.store.getSnapshot();
    if (error?.status === 403) {
      this.feed.stop();
      this.#made.get(this.#current)?.hide?.();
      return refuse(this.#shell);
    }
    this.#showNote(error, overview);
    this.#showAge();
    if (!overview) return;
    this.#showCounts(overview);
    const [text, tone] = stateOf(overview);
    setText(this.#state, text);
    this.#state.className = `chip ${tone}`;
    this.#made.get(this.#current)?.refresh?.();
  }

  #showCounts({ streams, tasks, relay, alerts }) {
    const counts = { connections: streams.open + streams.outputs + streams.waiting, tasks: tasks?.running, relay: relay?.poison, alerts: alerts.length };
    for (const link of this.#links) {
      const count = counts[link.dataset.part];
      setText(link.lastChild, count ? String(count) : '');
      link.classList.toggle('is-bad', ['relay', 'alerts'].includes(link.dataset.part) && count > 0);
    }
  }

  #showNote(error, overview) {
    const text = error ? problemOf(error, overview) : '';
    if (text === this.#noteShown) return;
    this.#noteShown = text;
    this.#note.replaceChildren(...(text ? [banner(text, [button('Try now', () => this.feed.refresh(), { kind: 'small' })], { kind: 'bad', role: 'alert' })] : []));
    if (!overview && text) this.#place.replaceChildren(empty('There are no figures yet', text));
  }

  #showAge() {
    const { updatedAt } = this.feed.store.getSnapshot();
    const age = updatedAt === null ? 0 : Date.now() - updatedAt;
    setText(this.#age, updatedAt === null ? '' : age < OLD_MS ? 'up to date' : `${asDuration(age)} old`);
  }
}

function stateOf({ alerts, instances, database }) {
  if (!database.reachable) return ['The database does not answer', 'bad'];
  const silent = instances.filter(({ answered }) => !answered).length;
  if (alerts.length) return [plural(alerts.length, 'alert'), 'bad'];
  return silent ? [`${plural(silent, 'instance')} missing`, 'warn'] : [`${plural(instances.length, 'instance')}, all well`, 'good'];
}

function problemOf({ status, message }, overview) {
  const old = overview ? ' The figures are from before.' : '';
  if (status === 404) return 'This service has no figures for this view. It is older than the page: update it.';
  if (status === 0) return `The service cannot be reached.${old} It is asked again every two seconds.`;
  return `The figures could not be loaded: ${message}${old}`;
}
