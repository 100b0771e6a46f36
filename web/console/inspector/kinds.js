// Kinds of events, by their types. A kind has a colour; its word is in the type, so that the colour is never alone.

/** In the order of their codes. */
export const KINDS = [
  { name: 'record', label: 'Records' },
  { name: 'lock', label: 'Locks' },
  { name: 'presence', label: 'Presence' },
  { name: 'task', label: 'Tasks' },
  { name: 'notice', label: 'Notices' },
  { name: 'stream', label: 'Stream' },
];

const CODES = new Map(KINDS.map(({ name }, code) => [name, code]));
const BEGINNINGS = [
  ['stream:', 'stream'],
  ['locks:', 'lock'],
  ['presence:', 'presence'],
  ['user:', 'presence'],
  ['ai:task:', 'task'],
  ['notification:', 'notice'],
  ['system:', 'notice'],
];
const LOCK = /:(locked|unlocked|lock_requested|lock_available)$/;

/** The code of the kind of this type: its place in `KINDS`. */
export function codeOf(type) {
  const known = BEGINNINGS.find(([beginning]) => type.startsWith(beginning));
  if (known) return CODES.get(known[1]);
  return CODES.get(LOCK.test(type) ? 'lock' : 'record');
}
