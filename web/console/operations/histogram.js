// How many events came within which time: a bar for each step.
import { h, setText } from '../elements/dom.js';
import { asNumber, plural } from '../elements/format.js';
import { asDuration } from '../elements/units.js';

export class Histogram {
  #bars = h('ol.histogram');
  #total = h('span.quiet-text.numeric');

  constructor(title) {
    this.element = h('section.card.chart', { 'aria-label': title }, h('div.figure-head', {}, h('h3', {}, title), this.#total), this.#bars);
  }

  /** @param {{upToMs: number | null, events: number}[]} buckets */
  set(buckets) {
    const most = Math.max(1, ...buckets.map(({ events }) => events));
    setText(this.#total, plural(buckets.reduce((sum, { events }) => sum + events, 0), 'event'));
    while (this.#bars.children.length > buckets.length) this.#bars.lastChild.remove();
    while (this.#bars.children.length < buckets.length) this.#bars.append(h('li', {}, h('span'), h('span.bar-space', {}, h('span.bar-fill')), h('span.numeric')));
    buckets.forEach(({ upToMs, events }, index) => {
      const [label, space, count] = this.#bars.children[index].children;
      const before = buckets[index - 1]?.upToMs;
      setText(label, upToMs === null ? `over ${asDuration(before ?? 0)}` : `to ${asDuration(upToMs)}`);
      space.firstChild.style.width = `${(100 * events) / most}%`;
      setText(count, asNumber(events));
    });
  }
}
