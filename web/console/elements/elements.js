// The small elements of the design system.
import { h, icon } from './dom.js';

/** `button('Save', save, { kind: 'primary' })` */
export function button(label, onClick, { kind = '', picture, ...props } = {}) {
  return h('button', { type: 'button', className: `button ${kind}`.trim(), onClick, ...props }, picture ? icon(picture) : null, label);
}

/** A button that shows only a picture; its label is its name. */
export function iconButton(picture, label, onClick, { kind = 'quiet', ...props } = {}) {
  return h('button', { type: 'button', className: `button icon ${kind}`, title: label, 'aria-label': label, onClick, ...props }, icon(picture));
}

export const chip = (text, tone = '') => h('span', { className: `chip ${tone}`.trim() }, text);

const TONES = 6;
/** With this factor, the people of the demo have five colours. */
const HASH = 77;

/** The initials of a name. */
export function initialsOf(name) {
  const words = name.trim().split(/\s+/);
  return ((words[0]?.[0] ?? '?') + (words.length > 1 ? words.at(-1)[0] : '')).toUpperCase();
}

/** A person as a circle with initials; the name is its title. */
export function avatar(id, name, { isSmall = false, isAway = false, what = '' } = {}) {
  let sum = 0;
  for (const character of id) sum = (sum * HASH + character.codePointAt(0)) % 9_973;
  const text = `${name}${what}${isAway ? ' (away)' : ''}`;
  const className = `avatar tone-${sum % TONES}${isSmall ? ' small' : ''}${isAway ? ' away' : ''}`;
  return h('span', { className, title: text, role: 'img', 'aria-label': text, dataset: { user: id } }, initialsOf(name));
}

/** A label over an input. */
export const field = (label, input, hint) => h('label.field', {}, h('span', {}, label), input, hint ? h('span.quiet-text', {}, hint) : null);

/** A bar over the content. */
export function banner(text, acts = [], { kind = '', role = 'status' } = {}) {
  return h('div', { className: `banner ${kind}`.trim(), role }, h('p', {}, text), acts.length ? h('div.acts', {}, acts) : null);
}

/** What is shown in place of a list without rows: a sentence, what to do, and maybe a button for it. */
export const empty = (title, text, act) => h('div.empty', {}, h('strong', {}, title), text ? h('p', {}, text) : null, act ?? null);

export function skeletons(count) {
  return h('div.skeleton-page', { 'aria-hidden': 'true' }, Array.from({ length: count }, () => h('div.skeleton')));
}

/** Fills a select. Options are texts, or `{ value, label }`. */
export function select(options, props = {}) {
  const made = options.map((one) => (typeof one === 'string' ? { value: one, label: one } : one));
  const element = h('select.input', {}, made.map(({ value, label }) => h('option', { value }, label)));
  const { value, ...rest } = props;
  for (const [name, given] of Object.entries(rest)) {
    if (name.startsWith('on')) element.addEventListener(name.slice(2).toLowerCase(), given);
    else if (name in element) element[name] = given;
    else element.setAttribute(name, given);
  }
  if (value !== undefined) element.value = value;
  return element;
}
