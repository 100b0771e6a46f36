// A real collision: both changed the same field. The values stand side by side, and the user decides field by field.
import { h, keepFocus } from '../elements/dom.js';
import { button } from '../elements/elements.js';
import { words } from '../elements/format.js';
import { shown } from './modules.js';

export function showConflict(crm, place, write) {
  const key = write ? JSON.stringify([write.id, write.conflict]) : '';
  if (place.dataset.key === key) return;
  place.dataset.key = key;
  const content = write?.conflict ? [comparison(crm, write)] : [];
  keepFocus(place, () => place.replaceChildren(...content), place.closest('.record')?.querySelector('h2'));
}

function comparison({ shell, changes }, { id, module, recordId, conflict }) {
  const { fields, mine, theirs } = conflict;
  const chosen = Object.fromEntries(fields.map((field) => [field, 'mine']));
  const radio = (field, who, values) => {
    const input = h('input', { type: 'radio', name: `${id}-${field}`, checked: who === 'mine', onChange: () => { chosen[field] = who; } });
    return h('td', {}, h('label', {}, input, ` ${shown(field, values[field]) || 'nothing'}`));
  };
  const rows = fields.map((field) => h('tr', {}, h('th', { scope: 'row' }, words(field)), radio(field, 'mine', mine), radio(field, 'theirs', theirs)));
  const change = changes.of(module, recordId);
  const who = change ? shell.nameOf(change.userId) : 'Somebody else';
  const resolve = (how) => shell.client.outbox.resolve(id, how).catch((error) => shell.toast(error.message, { kind: 'bad' }));
  const values = () => Object.fromEntries(fields.filter((field) => chosen[field] === 'mine').map((field) => [field, mine[field]]));
  const allMine = () => fields.every((field) => chosen[field] === 'mine');
  const apply = () => (Object.keys(values()).length ? resolve(allMine() ? 'mine' : values()) : resolve('theirs'));
  return h('div.conflict', { role: 'alert' }, h('h3', {}, `${who} changed the same ${fields.length === 1 ? 'field' : 'fields'}`), h('p', {}, 'Nothing is lost. Choose which value stays.'),
    h('table.table', {}, h('thead', {}, h('tr', {}, h('td'), h('th', { scope: 'col' }, 'Yours'), h('th', { scope: 'col' }, 'Theirs'))), h('tbody', {}, rows)),
    h('div.conflict-acts', {}, button('Keep these', apply, { kind: 'primary small' }), button('Take theirs', () => resolve('theirs'), { kind: 'small' })));
}
