// How long to wait before the next attempt.

export const FIRST_MS = 1_000;
export const MOST_MS = 30_000;

/**
 * 1, 2, 4, 8, … 30 seconds with full jitter: a random part of it, so that clients do not come back together.
 * @param {number} failures how many attempts have failed in a row, at least one
 * @param {() => number} random
 */
export function backoffMs(failures, random) {
  return Math.round(random() * Math.min(MOST_MS, FIRST_MS * 2 ** (failures - 1)));
}
