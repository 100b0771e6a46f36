// The view at /: dashboards, an open record, activity, tasks.
import { h } from '../elements/dom.js';
import { empty } from '../elements/elements.js';
import { Actions } from './actions.js';
import { Changes } from './changes.js';
import { Dashboard } from './dashboard.js';
import { FIRST, MODULES } from './modules.js';

class Crm {
  #panel = null;
  #selected = null;
  #kinds;

  constructor(shell) {
    this.shell = shell;
    this.changes = new Changes(shell);
    this.actions = new Actions(shell);
    /** The path of the open record. */
    this.selected = () => this.#selected;
    this.statuses = (module) => this.#kinds?.find(({ name }) => name === module)?.fields.find(({ name }) => name === 'status')?.values;
    this.create = async (module) => (await import('./create.js')).openCreate(this, module);
    this.importFile = async (module, file) => (await import('./import.js')).openImport(this, module, file);
    this.open = (module, id) => {
      location.hash = `${module}/${encodeURIComponent(id)}`;
    };
    this.close = () => {
      location.hash = this.dashboard.module;
    };
    this.owners = () => this.dashboard.records.map(({ ownerId }) => ownerId);
    this.kindOf = (module) => this.#catalogue().then((kinds) => kinds.find(({ name }) => name === module));
    this.dashboard = new Dashboard(this);
    this.aside = h('aside.side', { 'aria-label': 'Activity' });
    this.element = h('div.crm', {}, this.dashboard.element, this.aside);
  }

  async #catalogue() {
    if (!this.#kinds) {
      const { modules } = await this.shell.client.catalogue();
      this.#kinds = modules;
    }
    return this.#kinds;
  }

  /** The address says what is open: `#leads`, `#leads/l-1`. */
  async route() {
    const [module = '', id] = placeOf(location.hash);
    const isActivity = module === 'activity';
    const known = MODULES.includes(module) ? module : isActivity && this.dashboard.module || FIRST;
    this.dashboard.show(known);
    this.dashboard.mark(isActivity ? module : known);
    this.element.classList.toggle('has-activity', isActivity);
    const path = id ? `${known}/${id}` : null;
    if (path === this.#selected) return;
    const before = this.#selected;
    this.#selected = path;
    this.#panel?.close();
    this.#panel = null;
    this.dashboard.refresh();
    this.element.classList.toggle('has-record', Boolean(id));
    this.aside.classList.toggle('is-behind', Boolean(id));
    if (id) await this.#show(known, id);
    else if (before?.startsWith(`${known}/`)) this.dashboard.focusRow(before.slice(known.length + 1));
  }

  async #show(module, id) {
    const { RecordPanel } = await import('./record.js');
    if (this.#selected !== `${module}/${id}`) return;
    this.#panel = new RecordPanel(this, module, id);
    this.element.append(this.#panel.element);
  }
}

/** The parts of an address. One that cannot be read, such as `#leads/100%`, has none. */
function placeOf(hash) {
  try {
    return hash.slice(1).split('/').map(decodeURIComponent);
  } catch {
    return [];
  }
}

/** Resolves when the first records are shown. @param {import('../shell/shell.js').Shell} shell */
export function start(shell) {
  const crm = new Crm(shell);
  shell.main.append(crm.element);
  addEventListener('hashchange', () => crm.route());
  crm.route();
  addKeys(shell, crm);
  acceptDrops(crm);
  loadTheRest(crm);
  shell.client.catalogue().then(({ modules }) => {
    if (!modules.length) crm.element.replaceChildren(empty('No records live here', 'This service streams the changes of another database. See the inspector.'));
  }, () => {});
  return crm.dashboard.isShown;
}

/** What is not needed at first, is there before the connection can be lost. */
async function loadTheRest(crm) {
  await crm.dashboard.isShown;
  const [{ SidePanel }, { followTasks }] = await Promise.all([import('./side.js'), import('./tasks.js')]);
  crm.side = new SidePanel(crm, crm.aside);
  followTasks(crm);
  await import('./record.js');
  const idle = globalThis.requestIdleCallback ?? ((run) => setTimeout(run, 500));
  idle(() => Promise.all([import('./create.js'), import('./import.js'), import('./bad_rows.js')]).catch(() => {}));
}

function addKeys({ keys }, crm) {
  keys.add('/', 'Search', () => crm.dashboard.focusSearch());
  keys.add('n', 'New record', () => crm.create(crm.dashboard.module));
  keys.add('i', 'Import a CSV file', () => crm.importFile(crm.dashboard.module));
  keys.add('u', 'Undo, or the button of the last message', () => document.querySelector('.toasts .toast:last-child .button:not(.icon)')?.click());
  keys.add('Escape', 'Close the record', () => crm.selected() && crm.close());
  MODULES.forEach((module, index) => keys.add(String(index + 1), `Show ${module}`, () => { location.hash = module; }));
}

/** A file that is dropped anywhere on the page is imported into the dashboard that is shown. */
function acceptDrops(crm) {
  const hasFile = ({ dataTransfer }) => [...dataTransfer.types].includes('Files');
  addEventListener('dragover', (event) => {
    if (!hasFile(event)) return;
    event.preventDefault();
    crm.element.classList.add('is-target');
  });
  addEventListener('dragleave', ({ relatedTarget }) => !relatedTarget && crm.element.classList.remove('is-target'));
  addEventListener('drop', (event) => {
    if (!hasFile(event)) return;
    event.preventDefault();
    crm.element.classList.remove('is-target');
    crm.importFile(crm.dashboard.module, event.dataTransfer.files[0]);
  });
}
