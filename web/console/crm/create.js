// The form of a new record.
import { h } from '../elements/dom.js';
import { field as labelled } from '../elements/elements.js';
import { words } from '../elements/format.js';
import { openDialog } from '../elements/dialog.js';
import { inputOf, NOT_A_NUMBER, readable, typed } from './fields.js';
import { lookOf, oneOf } from './modules.js';

export async function openCreate(crm, module) {
  const kind = await crm.kindOf(module);
  if (!kind) return;
  const { first } = lookOf(module);
  const fields = readable(kind).filter(({ name, required, writer }) => writer === 'anybody' && (required || first.includes(name)));
  fields.sort((a, b) => first.indexOf(a.name) - first.indexOf(b.name));
  const inputs = fields.map((field) => ({ field, input: inputOf(field, null) }));
  const form = h('form.create-form', {}, inputs.map(({ field, input }) => labelled(words(field.name), input)));
  const create = () => {
    for (const { field, input } of inputs) input.setCustomValidity(Number.isNaN(typed(field, input.value)) ? NOT_A_NUMBER : '');
    if (!form.reportValidity()) return false;
    const values = inputs.map(({ field, input }) => [field.name, typed(field, input.value)]).filter(([, value]) => value !== null);
    const id = crm.actions.create(module, { ownerId: crm.shell.userId, ...Object.fromEntries(values) });
    crm.open(module, id);
    return true;
  };
  const { close } = openDialog({ title: `New ${oneOf(module)}`, body: form, acts: [{ label: 'Cancel' }, { label: 'Create', run: create, kind: 'primary' }], isNarrow: true });
  form.addEventListener('submit', (event) => {
    event.preventDefault();
    if (create()) close();
  });
  inputs[0]?.input.focus();
}
