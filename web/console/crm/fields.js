// Inputs for the fields of a record, and what was typed as a value.
import { h } from '../elements/dom.js';
import { select } from '../elements/elements.js';
import { words } from '../elements/format.js';

const TYPES = { date: 'date', timestamp: 'datetime-local' };
/** The keyboards of phones. Numbers are typed as text: a number field of the browser silently becomes empty when somebody types letters. */
const KEYBOARDS = { number: 'decimal', integer: 'numeric' };
/** As people write it: `$395,000`, `395000.50`, `2.5 %`. */
const NUMBER = /^-?(\d{1,3}(,\d{3})+|\d+)(\.\d*)?$|^-?\.\d+$/;
export const NOT_A_NUMBER = 'This is not a number.';
const LONG = /notes|description|interest/;
/** Fields that are shown elsewhere, or of no interest to people. */
const UNSHOWN = new Set(['id', 'version', 'createdAt', 'updatedAt', 'archivedAt', 'teamId', 'clientId']);

/** The fields of a module that people read and write, from the catalogue. */
export const readable = ({ fields }) => fields.filter(({ name }) => !UNSHOWN.has(name));

/** The input of a field, with its value. */
export function inputOf(field, value, people) {
  const label = words(field.name);
  if (field.values) {
    const options = [...(field.required ? [] : [{ value: '', label: '' }]), ...field.values.map((one) => ({ value: one, label: words(one) }))];
    return select(options, { value: value ?? '', name: field.name, 'aria-label': label });
  }
  if (field.name === 'ownerId' && people) return select(people, { value: value ?? '', name: field.name, 'aria-label': label });
  const tag = LONG.test(field.name) ? 'textarea.input' : 'input.input';
  const input = h(tag, { name: field.name, 'aria-label': label, autocomplete: 'off', required: field.required });
  if (tag === 'input.input') Object.assign(input, { type: TYPES[field.type] ?? 'text', step: 'any', inputMode: KEYBOARDS[field.type] ?? '' });
  input.value = written(field, value);
  return input;
}

function written({ type }, value) {
  if (value === null || value === undefined) return '';
  if (type !== 'timestamp') return [value].flat().join(', ');
  const time = new Date(value);
  return new Date(time.valueOf() - time.getTimezoneOffset() * 60_000).toISOString().slice(0, 16);
}

/** What was typed, as a value of the field; null for nothing, NaN for what is not a number. */
export function typed({ type }, text) {
  if (text.trim() === '') return null;
  if (type in KEYBOARDS) return numberOf(text);
  if (type === 'texts') return text.split(',').map((one) => one.trim()).filter(Boolean);
  if (type === 'timestamp') return new Date(text).toISOString();
  return type === 'boolean' ? text === 'true' : text;
}

function numberOf(text) {
  const plain = text.trim().replace(/^[$€£]\s*|\s*%$/g, '');
  return NUMBER.test(plain) ? Number(plain.replaceAll(',', '')) : NaN;
}
