// What people did: the last 20, older ones on scrolling, and imports as one line.
import { activity } from '../../client/src/feeds.js';
import { h, onceAFrame, setText } from '../elements/dom.js';
import { avatar, button, empty, skeletons } from '../elements/elements.js';
import { asAgo, asNumber } from '../elements/format.js';
import { KeyedRows } from '../elements/keyed_rows.js';

const GROUP_FROM = 4;
const RENEW_MS = 30_000;

export class ActivityList {
  #crm;
  #feed;
  #off;
  #timer;
  #isOfRecord;
  #rows;

  constructor(crm, options = {}) {
    this.#crm = crm;
    this.#isOfRecord = Boolean(options.recordId);
    this.#feed = activity(crm.shell.client, { limit: this.#isOfRecord ? 10 : 20, ...options });
    const list = h('ul.acts');
    this.#rows = new KeyedRows(list);
    this.element = h('div.activity', {}, list);
    const draw = onceAFrame(() => this.#draw());
    this.#off = this.#feed.subscribe(draw);
    this.#timer = setInterval(draw, RENEW_MS);
    this.element.addEventListener('scroll', () => this.#isAtEnd && this.#feed.loadMore(), { passive: true });
    this.#draw();
  }

  get #isAtEnd() {
    const { scrollTop, clientHeight, scrollHeight } = this.element;
    return scrollTop + clientHeight > scrollHeight - 80;
  }

  #draw() {
    const { status, activity: acts, hasMore, error } = this.#feed.getSnapshot();
    for (const { userId, userName } of acts) if (userName !== userId) this.#crm.shell.people.learn(userId, userName);
    if (status === 'loading') this.#rows.set([note('loading', () => skeletons(4))]);
    else if (status === 'error') this.#rows.set([note(`error ${error?.message}`, () => empty('Activity could not be loaded', error?.message))]);
    else if (!acts.length) this.#rows.set([note('nothing', () => empty('Nothing yet', 'What you and your colleagues do is listed here.'))]);
    else this.#rows.set([...grouped(acts).map((one) => this.#row(one)), ...(hasMore ? [this.#older()] : [])]);
  }

  #older() {
    return note('older', () => button('Older', () => this.#feed.loadMore(), { kind: 'small quiet' }));
  }

  #row({ act, oldest, count }) {
    const { userId, userName, text, at, module, recordId } = act;
    const sentence = count >= GROUP_FROM ? `${userName} added ${asNumber(count)} ${module}` : text;
    const isLink = recordId && !this.#isOfRecord && count < GROUP_FROM && act.type && !act.type.endsWith(':deleted');
    const make = () => h('li', {}, h('span', { 'aria-hidden': 'true' }, avatar(userId ?? '?', userName, { isSmall: true })),
      isLink ? h('a', { href: `#${module}/${encodeURIComponent(recordId)}` }) : h('span'), h('time.quiet-text'));
    const update = ({ children: [, said, time] }) => {
      setText(said, sentence);
      time.dateTime = at;
      setText(time, asAgo(at));
    };
    return { key: `${oldest.position} ${isLink} ${userName}`, make, update };
  }

  close() {
    clearInterval(this.#timer);
    this.#off();
  }
}

/** A line that is no act. */
const note = (key, make) => ({ key, make: () => h('li', {}, make()) });

/** Records that one user has created one after the other are one line. */
function grouped(acts) {
  const lines = [];
  for (const act of acts) {
    const last = lines.at(-1);
    const isSame = last && act.type.endsWith(':created') && act.type === last.act.type && act.userId === last.act.userId;
    if (isSame) last.acts.push(act);
    else lines.push({ act, acts: [act] });
  }
  return lines.flatMap(({ act, acts: all }) => (all.length >= GROUP_FROM ? [{ act, oldest: all.at(-1), count: all.length }] : all.map((one) => ({ act: one, oldest: one, count: 1 }))));
}
