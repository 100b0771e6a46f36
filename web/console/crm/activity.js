// What people did: the last 20, older ones on scrolling, and imports as one line.
import { activity } from '../../client/src/feeds.js';
import { h, onceAFrame } from '../elements/dom.js';
import { avatar, button, empty, skeletons } from '../elements/elements.js';
import { asAgo, asNumber } from '../elements/format.js';

const GROUP_FROM = 4;
const RENEW_MS = 30_000;

export class ActivityList {
  #crm;
  #feed;
  #off;
  #timer;
  #shown = '';
  #isOfRecord;
  #list = h('ul.acts');

  constructor(crm, options = {}) {
    this.#crm = crm;
    this.#isOfRecord = Boolean(options.recordId);
    this.#feed = activity(crm.shell.client, { limit: this.#isOfRecord ? 10 : 20, ...options });
    this.element = h('div.activity', {}, this.#list);
    const draw = onceAFrame(() => this.#draw());
    this.#off = this.#feed.subscribe(draw);
    this.#timer = setInterval(() => { this.#shown = ''; draw(); }, RENEW_MS);
    this.element.addEventListener('scroll', () => this.#isAtEnd && this.#feed.loadMore(), { passive: true });
    this.#draw();
  }

  get #isAtEnd() {
    const { scrollTop, clientHeight, scrollHeight } = this.element;
    return scrollTop + clientHeight > scrollHeight - 80;
  }

  #draw() {
    const { status, activity: acts, hasMore, error } = this.#feed.getSnapshot();
    const key = `${status} ${acts.length} ${acts[0]?.position} ${acts.at(-1)?.position} ${hasMore} ${error?.message}`;
    if (key === this.#shown) return;
    this.#shown = key;
    for (const { userId, userName } of acts) if (userName !== userId) this.#crm.shell.people.learn(userId, userName);
    if (status === 'loading') this.#list.replaceChildren(h('li', {}, skeletons(4)));
    else if (status === 'error') this.#list.replaceChildren(h('li', {}, empty('Activity could not be loaded', error?.message)));
    else if (!acts.length) this.#list.replaceChildren(h('li', {}, empty('Nothing yet', 'What you and your colleagues do is listed here.')));
    else this.#list.replaceChildren(...grouped(acts).map((one) => this.#item(one)), hasMore ? h('li', {}, button('Older', () => this.#feed.loadMore(), { kind: 'small quiet' })) : '');
  }

  #item({ act, count }) {
    const { userId, userName, text, at, module, recordId } = act;
    const sentence = count >= GROUP_FROM ? `${userName} added ${asNumber(count)} ${module}` : text;
    const isLink = recordId && !this.#isOfRecord && count < GROUP_FROM && act.type && !act.type.endsWith(':deleted');
    const said = isLink ? h('a', { href: `#${module}/${encodeURIComponent(recordId)}` }, sentence) : h('span', {}, sentence);
    return h('li', {}, h('span', { 'aria-hidden': 'true' }, avatar(userId ?? '?', userName, { isSmall: true })), said, h('time.quiet-text', { dateTime: at }, asAgo(at)));
  }

  close() {
    clearInterval(this.#timer);
    this.#off();
  }
}

/** Records that one user has created one after the other are one line. */
function grouped(acts) {
  const lines = [];
  for (const act of acts) {
    const last = lines.at(-1);
    const isSame = last && act.type.endsWith(':created') && act.type === last.act.type && act.userId === last.act.userId;
    if (isSame) last.acts.push(act);
    else lines.push({ act, acts: [act] });
  }
  return lines.flatMap(({ act, acts: all }) => (all.length >= GROUP_FROM ? [{ act, count: all.length }] : all.map((one) => ({ act: one, count: 1 }))));
}
