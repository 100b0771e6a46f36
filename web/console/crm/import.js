// The import of a CSV file: what is in it, which column becomes which field, and then a task that the service carries out.
import { tasks } from '../../client/src/feeds.js';
import { openDialog } from '../elements/dialog.js';
import { h } from '../elements/dom.js';
import { button, select } from '../elements/elements.js';
import { words } from '../elements/format.js';
import { firstRows, plain, separatorOf } from './csv.js';
import { readable } from './fields.js';
import { oneOf } from './modules.js';

const PREVIEW_BYTES = 65_536;
const PREVIEW_ROWS = 6;
const SAMPLES = 500;

export async function openImport(crm, module, file) {
  const kind = await crm.kindOf(module);
  if (!kind) return;
  if (file) await preview(crm, module, kind, file);
  else choose(crm, module, kind);
}

function choose(crm, module, kind) {
  const take = (file) => {
    close();
    preview(crm, module, kind, file);
  };
  const input = h('input', { type: 'file', accept: '.csv,text/csv', hidden: true, onChange: () => input.files[0] && take(input.files[0]) });
  const body = h('div.drop', {}, h('p', {}, `Drop a CSV file with ${module} on the page, or choose one.`), input, button('Choose a file', () => input.click(), { kind: 'primary' }),
    button(`Try it with ${SAMPLES} sample ${module}`, () => take(sample(module, kind)), { kind: 'quiet' }));
  const { close } = openDialog({ title: `Import ${module}`, body, isNarrow: true });
}

/** A file like one that a user may have, so that an import can be tried at once. */
function sample(module, kind) {
  const fields = kind.fields.filter(({ name, required, values }) => required || name === 'email' || (values && name === 'status'));
  const cell = ({ name, values }, n) => (name === 'email' ? `sample${n}@example.com` : values ? values[n % values.length] : `Sample ${oneOf(module)} ${n}`);
  const lines = Array.from({ length: SAMPLES }, (_, n) => fields.map((field) => cell(field, n + 1)).join(','));
  return new File([`${fields.map(({ name }) => words(name)).join(',')}\n${lines.join('\n')}\n`], `sample-${module}.csv`, { type: 'text/csv' });
}

async function preview(crm, module, kind, file) {
  const text = await file.slice(0, PREVIEW_BYTES).text();
  const delimiter = separatorOf(text);
  const [header = [], ...rows] = firstRows(text, PREVIEW_ROWS, delimiter);
  if (!rows.length) {
    crm.shell.toast('There are no rows in this file. The first line must name the columns.', { kind: 'bad' });
    return;
  }
  const fields = [...readable(kind), ...kind.fields.filter(({ name }) => name === 'clientId')].filter(({ writer }) => writer === 'anybody');
  const choices = header.map((name) => {
    const match = fields.find((field) => plain(field.name) === plain(name));
    return select([{ value: '', label: 'Do not import' }, ...fields.map((field) => ({ value: field.name, label: words(field.name) }))], { value: match?.name ?? '', 'aria-label': `Field of ${name}` });
  });
  const table = h('table.table.mapping', {}, h('thead', {}, h('tr', {}, header.map((name) => h('th', { scope: 'col' }, name))), h('tr', {}, choices.map((choice) => h('td', {}, choice)))),
    h('tbody', {}, rows.map((cells) => h('tr', {}, header.map((_, index) => h('td', {}, cells[index] ?? ''))))));
  const missing = h('p.field-error', { role: 'alert' });
  const start = () => {
    const chosen = choices.map(({ value }) => value);
    const needed = fields.filter(({ name, required }) => required && !chosen.includes(name));
    missing.textContent = needed.length ? `Choose a column for ${needed.map(({ name }) => words(name)).join(', ')}.` : '';
    if (needed.length) return false;
    const mapping = Object.fromEntries(header.map((name, index) => [name, chosen[index] || null]));
    run(crm, { module, file, mapping, delimiter });
    return true;
  };
  openDialog({
    title: `Import ${file.name}`, acts: [{ label: 'Cancel' }, { label: `Import into ${module}`, run: start, kind: 'primary' }],
    body: [h('p', {}, `The first rows. Choose for each column the field of the ${oneOf(module)}.`), h('div.scroll', { tabIndex: 0, role: 'region', 'aria-label': 'Preview' }, table), missing],
  });
}

async function run({ shell }, { module, file, mapping, delimiter }) {
  try {
    const upload = await send(shell.client, file);
    await tasks(shell.client, { limit: 20 }).create({ type: 'import_csv', title: `Import ${file.name}`, params: { module, upload, mapping, delimiter } });
  } catch (error) {
    shell.toast(`${file.name} was not imported: ${error.message}`, { kind: 'bad' });
  }
}

/** Uploads the file as it is; the requests of the client are JSON. */
async function send(client, file) {
  const headers = { Authorization: `Bearer ${await client.tokens.get()}`, 'Content-Type': 'text/csv' };
  const response = await fetch(`${client.url}/uploads`, { method: 'POST', headers, body: file });
  const body = await response.json();
  if (!response.ok) throw new Error(body.detail ?? `status ${response.status}`);
  return body.id;
}
