// A row of a dashboard. It is made once, and then only what differs is changed.
import { h, icon, keepFocus, setText } from '../elements/dom.js';
import { avatar, iconButton, select } from '../elements/elements.js';
import { words } from '../elements/format.js';
import { lookOf, shown, toneOf } from './modules.js';

export const ROW_PX = { wide: 52, narrow: 84 };
const COLUMNS = 3;
const DONE = new Set(['completed', 'cancelled', 'no_show']);

const cell = (className, ...children) => h('div', { role: 'cell', className }, children);

export function makeRow({ open }, record) {
  const row = h('div.record-row', { role: 'row', dataset: { id: record.id } });
  row.append(
    cell('cell-0', h('button.open', { type: 'button', tabIndex: -1 }), h('span.under')),
    ...Array.from({ length: COLUMNS }, (_, index) => cell(`cell-${index + 1} numeric`)),
    cell('cell-4'), cell('cell-5'), cell('cell-6'),
  );
  row.addEventListener('click', (event) => !event.target.closest('select, .act') && open(row.dataset.id));
  return row;
}

export function updateRow(context, row, record, index) {
  if (!record) return;
  const { module, shell, changes, selected } = context;
  const look = lookOf(module);
  const cells = row.children;
  row.setAttribute('aria-rowindex', String(index + 2));
  row.classList.toggle('is-open', selected() === `${module}/${record.id}`);
  row.classList.toggle('is-archived', Boolean(record.archivedAt));
  setText(cells[0].firstChild, look.name(record) ?? 'Without a name');
  look.columns.forEach(([field, label], n) => {
    const text = shown(field, record[field]);
    setText(cells[n + 1], text);
    cells[n + 1].dataset.label = label;
  });
  updateStatus(context, cells[4], record);
  updateOwner(shell, cells[5], record);
  const change = changes.of(module, record.id);
  row.classList.toggle('flash', Boolean(change));
  updateMarks(context, cells, record, change);
}

/** Leads have a select in their row, appointments a button to complete them. */
function updateStatus({ module, actions, statuses }, place, record) {
  const key = `${module} ${record.status} ${Boolean(statuses(module))}`;
  if (place.dataset.key === key) return;
  place.dataset.key = key;
  keepFocus(place, () => place.replaceChildren(...statusOf({ module, actions, statuses }, record)), place.parentElement.querySelector('.open'));
}

function statusOf({ module, actions, statuses }, record) {
  const tone = toneOf(record.status);
  if (module === 'leads' && statuses(module)) {
    const options = statuses(module).map((value) => ({ value, label: words(value) }));
    const box = select(options, { value: record.status, tabIndex: -1, 'aria-label': `Status of ${record.name}` });
    box.className = `chip status-select ${tone}`;
    box.addEventListener('change', () => actions.update(module, record, { status: box.value }, `${record.name} is ${words(box.value).toLowerCase()}.`));
    return [box];
  }
  const chip = h('span', { className: `chip ${tone}` }, record.status ? words(record.status) : '–');
  const isOpen = module === 'appointments' && !DONE.has(record.status);
  return isOpen ? [chip, iconButton('check', `Complete ${record.title}`, () => actions.complete(record), { kind: 'small quiet act', tabIndex: -1 })] : [chip];
}

function updateOwner(shell, place, { ownerId }) {
  const name = ownerId ? shell.nameOf(ownerId) : '';
  if (place.dataset.name === name) return;
  place.dataset.name = name;
  place.replaceChildren(...(ownerId ? [avatar(ownerId, name, { isSmall: true }), h('span.owner', {}, name)] : []));
  place.querySelector('.avatar')?.setAttribute('aria-hidden', 'true');
}

/** Under the name: what waits to be sent, who has changed it a moment ago, who edits it. At the end: who looks at it. */
function updateMarks({ module, shell, changes }, cells, record, change) {
  const { id } = record;
  const { people, locks } = shell.presence.getSnapshot();
  const lock = locks.find((one) => one.module === module && one.recordId === id && one.holder.userId !== shell.userId);
  const isHere = (one) => one.module === module && one.recordId === id;
  const viewers = people.filter(({ userId, viewing }) => userId !== shell.userId && viewing.some(isHere));
  const waiting = shell.client.outbox.pending().filter((write) => write.module === module && write.recordId === id);
  const isWaiting = waiting.length > 0 && (!shell.isConnected || waiting.some(({ attempts }) => attempts > 1));
  const conflict = waiting.some(({ state }) => state === 'conflict');
  const text = conflict ? 'Needs your decision' : isWaiting ? 'Waiting to be sent' : change ? changes.sentence(change) : lock ? `${shell.nameOf(lock.holder.userId)} is editing` : '';
  const under = cells[0].lastChild;
  const kind = conflict ? 'bad' : isWaiting || lock ? 'warn' : change ? 'info' : '';
  setMark(under, text || lookOf(module).under(record), text ? kind : '', conflict || isWaiting ? 'clock' : change ? 'edit' : 'lock');
  const place = cells[6];
  const key = JSON.stringify(viewers.map(({ userId }) => [userId, shell.nameOf(userId)]));
  if (place.dataset.key === key) return;
  place.dataset.key = key;
  place.replaceChildren(viewers.length ? h('span.avatars', {}, viewers.slice(0, 3).map(({ userId }) => avatar(userId, shell.nameOf(userId), { isSmall: true, what: ' has it open' }))) : '');
}

function setMark(under, text, kind, picture) {
  const key = `${kind} ${text}`;
  if (under.dataset.key === key) return;
  under.dataset.key = key;
  under.className = `under ${kind}`.trim();
  under.replaceChildren(...(kind ? [icon(picture), ` ${text}`] : [text]));
}
