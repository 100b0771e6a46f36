// The fields of a record: how they are shown, and how they are edited.
import { button, element, wordsOf } from './elements.js';

const INPUTS = { number: 'number', integer: 'number', date: 'date' };
const REDACTED = '[REDACTED]';

/** Fields that are in the heading, or of no interest. */
const UNSHOWN = new Set(['id', 'version', 'createdAt', 'archivedAt']);

/** The fields of a record that are shown one by one. */
export const readable = ({ fields }) => fields.filter(({ name }) => !UNSHOWN.has(name));

/** A value as a person reads it. */
export function shown({ type }, value) {
  if (value === null || value === undefined) return 'nothing';
  if (type === 'number' && typeof value === 'number') return value.toLocaleString('en-US');
  if (type === 'timestamp') return new Date(value).toLocaleString();
  return [value].flat().join(', ');
}

/** The typed text, as a value of the field. */
export function typed({ type }, text) {
  if (text.trim() === '') return null;
  if (type === 'number' || type === 'integer') return Number(text);
  if (type === 'texts') return text.split(',').map((one) => one.trim()).filter(Boolean);
  return type === 'boolean' ? text === 'true' : text;
}

/** A field with its value, and with a button to edit it if there is an `onEdit`. */
export function fieldRow(field, value, { isFresh, onEdit }) {
  const cell = element('dd', isFresh ? 'fresh' : '');
  cell.dataset.field = field.name;
  cell.append(element('span', value === null ? 'none' : '', shown(field, value)));
  if (onEdit && field.writer === 'anybody' && value !== REDACTED) {
    const edit = button('Edit', onEdit);
    edit.ariaLabel = `Edit ${wordsOf(field.name)}`;
    cell.append(edit);
  }
  return [element('dt', '', wordsOf(field.name)), cell];
}

/** A field that is being edited. */
export function editorRow(field, value, onCancel) {
  const input = element(field.values ? 'select' : 'input');
  if (field.values) input.append(...field.values.map((one) => element('option', '', one)));
  else Object.assign(input, { type: INPUTS[field.type] ?? 'text', step: 'any', autocomplete: 'off' });
  Object.assign(input, { name: 'value', ariaLabel: wordsOf(field.name) });
  input.value = [value ?? ''].flat().join(', ');
  const cell = element('dd', 'editing');
  cell.dataset.field = field.name;
  cell.append(input, element('button', '', 'Save'), button('Cancel', onCancel));
  return [element('dt', '', wordsOf(field.name)), cell];
}
