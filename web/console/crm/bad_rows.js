// The rows of a CSV file that were not imported, and why.
import { openDialog } from '../elements/dialog.js';
import { h } from '../elements/dom.js';
import { plural, words } from '../elements/format.js';

export function showBadRows({ title, result, partial }) {
  const { bad, errors } = result ?? partial;
  const rows = errors.map(({ line, column, field, reason }) => h('tr', {}, h('td.numeric', {}, String(line)), h('td', {}, column ?? (field ? words(field) : 'Row')), h('td', {}, reason)));
  const table = h('table.table', {}, h('thead', {}, h('tr', {}, ['Line', 'Column', 'Reason'].map((name) => h('th', { scope: 'col' }, name)))), h('tbody', {}, rows));
  const more = bad > errors.length ? h('p.quiet-text', {}, `The first ${errors.length} of ${bad}; the output of the task has all.`) : null;
  const note = h('p', {}, `${plural(bad, 'row was', 'rows were')} not imported. Correct them in the file and import it again: remove the other rows first.`);
  openDialog({ title: title ?? 'Rows that were not imported', body: h('div', {}, note, h('div.scroll', { tabIndex: 0, role: 'region', 'aria-label': 'Bad rows' }, table), more), acts: [{ label: 'Close', kind: 'primary' }] });
}
