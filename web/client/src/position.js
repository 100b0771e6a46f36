// Positions in the log: `1042-k7q2mw`, a number and the tag of its log.

/**
 * @param {string} position
 * @returns {[bigint, string]}
 */
function parts(position) {
  const [number, epoch = ''] = position.split('-');
  return [BigInt(number), epoch];
}

const FORM = /^\d{1,19}(-[A-Za-z0-9]{1,16})?$/;

/** @param {unknown} text @returns {text is string} */
export const isPosition = (text) => typeof text === 'string' && FORM.test(text);

/**
 * Whether `position` is at or before `other`. Positions of different logs cannot be compared: false.
 * @param {string} position
 * @param {string} other
 */
export function isCovered(position, other) {
  const [number, epoch] = parts(position);
  const [otherNumber, otherEpoch] = parts(other);
  return number <= otherNumber && (epoch === otherEpoch || !epoch || !otherEpoch);
}
