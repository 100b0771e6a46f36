// Equality of values as JSON has them.

/**
 * @param {unknown} a
 * @param {unknown} b
 */
export const same = (a, b) => a === b || JSON.stringify(a) === JSON.stringify(b);
