// The list of events, the notices above it, and the gauges.
import { element, find, timeElement } from './elements.js';
import { ENDINGS } from './feed.js';

const MOST_ROWS = 500;
const MOST_NOTICES = 5;
const RATE_WINDOW_MS = 5_000;

const CLOSINGS = {
  ...ENDINGS,
  drain: 'the service is restarting',
  overloaded: 'the service is full',
  rate_limited: 'this user opens streams too often',
  unavailable: 'the service cannot reach its database',
};

const RESETS = {
  expired: 'Earlier events are no longer stored',
  unknown: 'The position belongs to another log',
  ahead: 'The position is beyond the end of the log',
};

function notice(text, isBad = false) {
  const item = element('li', isBad ? 'bad' : '');
  item.append(element('span', '', text), timeElement(new Date()));
  const notices = find('notices');
  notices.prepend(item);
  while (notices.childElementCount > MOST_NOTICES) notices.lastElementChild.remove();
}

function recordOf(data) {
  return [data.module, data.recordId].filter(Boolean).join('/');
}

function eventRow({ data, position }) {
  const date = new Date(data.timestamp);
  const summary = element('summary');
  summary.append(
    element('span', 'type', data.type),
    element('span', 'record', recordOf(data)),
    element('span', 'at', position ?? ''),
    timeElement(Number.isNaN(date.valueOf()) ? new Date() : date),
  );
  const details = element('details');
  details.append(summary);
  details.addEventListener('toggle', () => details.append(element('pre', '', JSON.stringify(data, null, 2))), { once: true });
  const item = element('li');
  item.append(details);
  return item;
}

// Rows are drawn once a frame, so that a burst costs one layout.
let undrawn = [];
let isDrawing = false;
let arrivals = [];
let seen = 0;
let position = null;

function draw() {
  isDrawing = false;
  const rows = document.createDocumentFragment();
  for (const event of undrawn.reverse()) rows.append(eventRow(event));
  undrawn = [];
  const list = find('events');
  list.prepend(rows);
  while (list.childElementCount > MOST_ROWS) list.lastElementChild.remove();
  find('position').textContent = position ?? '–';
  find('seen').textContent = seen.toLocaleString();
}

function drawSoon() {
  if (!isDrawing) requestAnimationFrame(draw);
  isDrawing = true;
}

function showEvent(event) {
  seen += 1;
  arrivals.push(performance.now());
  undrawn.push(event);
  if (undrawn.length > MOST_ROWS) undrawn.shift();
}

export function clear() {
  undrawn = [];
  seen = 0;
  find('events').replaceChildren();
  find('notices').replaceChildren();
  drawSoon();
}

export function showRate() {
  const oldest = performance.now() - RATE_WINDOW_MS;
  arrivals = arrivals.filter((at) => at > oldest);
  const rate = arrivals.length / (RATE_WINDOW_MS / 1000);
  find('rate').textContent = rate.toLocaleString([], { maximumFractionDigits: 1 });
}

/** Shows a message of the stream. Messages without a position (states, not events) are not listed. */
export function showMessage(data, newPosition) {
  position = newPosition ?? position;
  drawSoon();
  switch (data.type) {
    case 'hb':
    case 'stream:ready':
      break;
    case 'stream:reset':
      notice(`${RESETS[data.reason] ?? `Reset: ${data.reason}`}: events may be missing above this line.`, true);
      break;
    case 'stream:expiring':
      notice(`The token expires in ${data.inSeconds} s.`);
      break;
    case 'stream:closing':
      notice(`The service closed the stream: ${CLOSINGS[data.reason] ?? data.reason}.`);
      break;
    default:
      if (newPosition) showEvent({ data, position });
  }
}
