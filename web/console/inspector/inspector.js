// The view at /inspector: the raw stream.
import { h } from '../elements/dom.js';
import { empty } from '../elements/elements.js';
import { asTime } from '../elements/format.js';
import { VirtualRows } from '../elements/virtual_rows.js';

const MOST = 100_000;
const ROW_PX = 36;

/** @param {import('../shell/shell.js').Shell} shell */
export function start(shell) {
  const events = [];
  const rows = new VirtualRows({
    label: 'Events, newest last',
    key: ({ n }) => n,
    height: () => ROW_PX,
    make: () => h('div', { role: 'listitem' }, h('span.mono')),
    update: (row, { at, type, recordId }) => { row.firstChild.textContent = `${asTime(at)}  ${type}  ${recordId ?? ''}`; },
  });
  const none = empty('Waiting for events', 'Change a record in the CRM, and its event appears here.');
  shell.main.append(h('div.inspector', {}, none), rows.element);
  shell.client.on('*', ({ type, recordId }) => {
    none.hidden = true;
    events.push({ n: (events.at(-1)?.n ?? 0) + 1, at: Date.now(), type, recordId });
    if (events.length > MOST) events.shift();
    rows.set(events);
  });
}
