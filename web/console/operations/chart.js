// Charts of a few lines: SVG, drawn again when there is a new sample.
import { h, setText } from '../elements/dom.js';
import { asSeconds } from '../elements/units.js';

const SVG = 'http://www.w3.org/2000/svg';
const WIDTH = 600;
const HEIGHT = 100;
/** Lines differ by this, too, and not by their colour alone. */
const DASHES = ['', '7 4', '2 4'];
/** The highest value stays below the number at the top. */
const HEADROOM = 1.15;
const ROUND = [1, 2, 2.5, 5, 10];

/** @param {string} tag @param {Record<string, string | number>} attributes */
export function svg(tag, attributes, ...children) {
  const element = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, String(value));
  element.append(...children);
  return element;
}

/** The next round number: the top of a scale. */
export function roundUp(value) {
  if (!(value > 0)) return 1;
  const size = 10 ** Math.floor(Math.log10(value));
  return size * ROUND.find((step) => step * size >= value * 0.999);
}

/**
 * @typedef {object} Series
 * @property {string} label
 * @property {(overview: any) => number | null | undefined} of
 *
 * @typedef {object} ChartRules
 * @property {string} title
 * @property {string} [hint] what it means, in a sentence
 * @property {Series[]} series
 * @property {(value: number) => string} format
 * @property {number} [least] the scale ends here or higher
 * @property {number} [unit] the scale is a round number of these
 * @property {(at: number | null) => void} point told of the time at which somebody points, on any chart
 */

export class Chart {
  #rules;
  #samples = [];
  #lines;
  #values;
  #cross = svg('line', { class: 'cross', y1: 0, y2: HEIGHT, visibility: 'hidden' });
  #plot;
  #top = h('span.scale-top.numeric');
  #when = h('span.chart-when.numeric');
  #from = h('span.numeric');
  /** Of each series, of each sample. @type {(number | null)[][]} */
  #series = [];
  #x = (at) => at;
  #shownAt = null;

  /** @param {ChartRules} rules */
  constructor(rules) {
    this.#rules = rules;
    this.#lines = rules.series.map((_, index) => svg('path', { class: `line line-${index}`, fill: 'none', 'stroke-dasharray': DASHES[index] ?? '', 'vector-effect': 'non-scaling-stroke' }));
    this.#values = rules.series.map(() => h('strong.numeric', {}, '–'));
    this.element = this.#make();
  }

  #make() {
    const { title, hint, series } = this.#rules;
    const grid = [0.5, 50, 99.5].map((y) => svg('line', { class: 'grid', x1: 0, x2: WIDTH, y1: y, y2: y, 'vector-effect': 'non-scaling-stroke' }));
    const picture = svg('svg', { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, preserveAspectRatio: 'none', 'aria-hidden': 'true' }, ...grid, ...this.#lines, this.#cross);
    this.#plot = h('div.plot', { role: 'img', tabIndex: 0 }, picture, this.#top);
    this.#plot.addEventListener('pointermove', (event) => this.#pointAt(event));
    this.#plot.addEventListener('pointerleave', () => this.#rules.point(null));
    this.#plot.addEventListener('blur', () => this.#rules.point(null));
    this.#plot.addEventListener('keydown', (event) => this.#key(event));
    const legend = series.map(({ label }, index) => h('li', {}, this.#mark(index), `${label} `, this.#values[index]));
    return h('figure.chart.card', {},
      h('figcaption', {}, h('h3', {}, title), this.#when),
      h('ul.legend', {}, legend), this.#plot,
      h('div.scale', { 'aria-hidden': 'true' }, this.#from, h('span', {}, 'now')), hint ? h('p.quiet-text', {}, hint) : null);
  }

  #mark(index) {
    if (this.#rules.series.length === 1) return null;
    return svg('svg', { class: 'legend-mark', viewBox: '0 0 24 4', 'aria-hidden': 'true' }, svg('line', { class: `line line-${index}`, x1: 0, x2: 24, y1: 2, y2: 2, 'stroke-dasharray': DASHES[index] ?? '' }));
  }

  /** @param {readonly {at: number, overview: any}[]} samples @param {number} spanMs how much time the width stands for */
  set(samples, spanMs) {
    this.#samples = samples;
    const end = samples.at(-1)?.at ?? 0;
    const values = this.#rules.series.map(({ of }) => samples.map(({ overview }) => (overview ? of(overview) ?? null : null)));
    const { least = 0, unit = 1 } = this.#rules;
    const most = Math.max(0, ...values.flat().filter((value) => value !== null));
    const scale = unit * roundUp(Math.max(least, most * HEADROOM) / unit);
    this.#x = (at) => WIDTH * (1 - (end - at) / spanMs);
    values.forEach((row, index) => this.#lines[index].setAttribute('d', this.#path(row, scale)));
    setText(this.#top, this.#rules.format(scale));
    setText(this.#from, samples.length ? asSeconds(end - spanMs) : '');
    this.#series = values;
    this.showAt(this.#shownAt);
    this.#plot.setAttribute('aria-label', this.#summary());
  }

  /** A value that is missing is a gap; one alone between two gaps is a short line. */
  #path(row, scale) {
    let path = '';
    let isOpen = false;
    row.forEach((value, index) => {
      if (value === null) {
        isOpen = false;
        return;
      }
      const [x, y] = [this.#x(this.#samples[index].at), (HEIGHT - 1) * (1 - Math.min(1, value / scale)) + 0.5];
      path += `${isOpen ? 'L' : 'M'}${x.toFixed(1)} ${y.toFixed(1)}`;
      if (!isOpen) path += 'h0.5';
      isOpen = true;
    });
    return path;
  }

  #summary() {
    const { title, series, format } = this.#rules;
    const parts = series.map(({ label }, index) => {
      const known = this.#series[index].filter((value) => value !== null);
      if (!known.length) return `${label}: no value yet`;
      return `${label}: ${format(known.at(-1))} now, ${format(Math.min(...known))} to ${format(Math.max(...known))} since the page was opened`;
    });
    return `${title}. ${parts.join('. ')}. The arrow keys go through time.`;
  }

  // ---- at a time

  #pointAt({ clientX }) {
    const { left, width } = this.#plot.getBoundingClientRect();
    const x = WIDTH * (clientX - left) / width;
    const nearest = this.#samples.reduce((best, { at }) => (best === null || Math.abs(this.#x(at) - x) < Math.abs(this.#x(best) - x) ? at : best), null);
    this.#rules.point(nearest);
  }

  #key(event) {
    const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (!step || !this.#samples.length) return;
    event.preventDefault();
    const now = this.#shownAt === null ? this.#samples.length : this.#samples.findIndex(({ at }) => at === this.#shownAt);
    const index = Math.min(this.#samples.length - 1, Math.max(0, now + step));
    this.#rules.point(this.#samples[index].at);
  }

  /** Shows the values at this time, or the newest ones. */
  showAt(at) {
    const index = at === null ? this.#samples.length - 1 : this.#samples.findIndex((sample) => sample.at === at);
    this.#shownAt = index < 0 ? null : at;
    const isPointed = this.#shownAt !== null;
    this.#cross.setAttribute('visibility', isPointed ? 'visible' : 'hidden');
    if (isPointed) for (const end of ['x1', 'x2']) this.#cross.setAttribute(end, String(this.#x(at)));
    setText(this.#when, isPointed ? asSeconds(at) : '');
    this.#values.forEach((element, n) => {
      const value = this.#series[n]?.[index] ?? null;
      setText(element, value === null ? '–' : this.#rules.format(value));
    });
  }
}
